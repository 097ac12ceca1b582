import type { PluginModule } from "@opencode-ai/plugin";
import { server } from "./host/plugin.ts";

/** The OpenCode plugin: `"plugin": ["opencode-goalkeeper"]` in opencode.json. */
export default { id: "goalkeeper", server } satisfies PluginModule & { id: string };
