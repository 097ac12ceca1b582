import type * as z from "zod/mini";

export interface ToolCall {
  readonly sessionID: string;
  readonly messageID: string;
  readonly agent: string;
  /** Aborts when the user ends the turn. */
  readonly abort?: AbortSignal;
  /** Shows in the session what a call that takes long is doing. */
  readonly metadata?: (shown: { readonly title?: string; readonly metadata?: Record<string, unknown> }) => void;
}

/** A tool of the model. What a host makes of it is the host's business. */
export interface Tool {
  readonly description: string;
  /** What the model is shown. OpenCode does not check arguments against it: `execute` gets whatever came. */
  readonly args: Readonly<Record<string, z.ZodMiniType>>;
  readonly execute: (args: unknown, context: ToolCall) => Promise<string>;
}

/**
 * Describes an argument to the model. OpenCode looks for `.meta()` or `.description` on each schema; `zod/mini` has
 * neither, and its own registry is not the host's.
 */
export function described<T extends z.ZodMiniType>(schema: T, description: string): T {
  return Object.assign(schema, { description });
}
