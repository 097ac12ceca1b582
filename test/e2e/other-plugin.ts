/** A plugin of somebody else's that has names of ours: the command /goal, and tools. */
import { type PluginModule, tool } from "@opencode-ai/plugin";

export const OTHER_PLUGIN = import.meta.path;

export interface OtherOptions {
  /** Its own command /goal: in the place of what is there, or behind it. */
  readonly command?: "over" | "under";
  /** Names of its tools. */
  readonly tools?: readonly string[];
}

export const THEIR_ANSWER = "answered by the other plugin";

export default {
  id: "other-plugin",
  server: async (_input, raw) => {
    const { command, tools = [] } = (raw ?? {}) as OtherOptions;
    const theirs = { goal: { template: "Their goal: $ARGUMENTS" } };
    return {
      config: async (config) => {
        if (command === "over") config.command = { ...config.command, ...theirs };
        if (command === "under") config.command = { ...theirs, ...config.command };
      },
      tool: Object.fromEntries(
        tools.map((name) => [
          name,
          tool({
            description: `Their ${name}.`,
            args: { task_id: tool.schema.string().optional() },
            execute: async () => THEIR_ANSWER,
          }),
        ]),
      ),
    };
  },
} satisfies PluginModule & { id: string };
