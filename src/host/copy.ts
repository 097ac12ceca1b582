import type { Hooks } from "@opencode-ai/plugin";
import type { Options } from "../options.ts";
import { OwnCommands } from "./own-commands.ts";
import type { HostPort } from "./port.ts";
import type { FirstCopy } from "./registry.ts";

/**
 * The hooks of a copy behind the first one in the same instance of OpenCode: it keeps no books. What it registers, under
 * the names that its own options say, works on the books of the first one.
 */
export function copyHooks(first: FirstCopy, options: Options, host: Pick<HostPort, "log" | "toast">): Hooks {
  const commands = new OwnCommands(options, first.run, host);
  return {
    config: async (config) => void commands.register(config),
    tool: first.tools(options.tools) as NonNullable<Hooks["tool"]>,
    "command.execute.before": commands.execute,
  };
}
