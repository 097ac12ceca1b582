import type { ToolDefinition } from "@opencode-ai/plugin";
import type * as z from "zod/mini";

export interface ToolCall {
  readonly sessionID: string;
  readonly messageID: string;
  readonly agent: string;
}

interface Definition {
  readonly description: string;
  /** What the model is shown. OpenCode does not check arguments against it: `execute` gets whatever came. */
  readonly args: Readonly<Record<string, z.ZodMiniType>>;
  readonly execute: (args: unknown, context: ToolCall) => Promise<string>;
}

/**
 * A tool as OpenCode takes it. The schemas are made with `zod/mini`, which is a third of the load time; OpenCode reads
 * the part of them that both flavours share, while the plugin package's type names the other one.
 */
export function defineTool(definition: Definition): ToolDefinition {
  return definition as unknown as ToolDefinition;
}

/**
 * Describes an argument to the model. OpenCode looks for `.meta()` or `.description` on each schema; `zod/mini` has
 * neither, and its own registry is not the host's.
 */
export function described<T extends z.ZodMiniType>(schema: T, description: string): T {
  return Object.assign(schema, { description });
}
