/** Our plugin once more, in the same instance of OpenCode, with options of its own. */
import type { PluginModule } from "@opencode-ai/plugin";

export const SECOND_COPY = import.meta.path;

export default {
  id: "second-copy",
  server: async (input, options) => {
    const ours: { default: PluginModule } = await import(new URL("../../dist/server.js", import.meta.url).href);
    return ours.default.server(input, options);
  },
} satisfies PluginModule & { id: string };
