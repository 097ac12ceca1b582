/** Another plugin beside ours in an `opencode run`. Its options say what it does. */
import type { PluginModule } from "@opencode-ai/plugin";

export const COMPANION = import.meta.path;

export interface CompanionOptions {
  /** How long its `chat.message` hook takes for every message that no person wrote. */
  readonly slowMs?: number;
  /** Aborts, once, the child whose title holds this, as soon as it works on its first model request. */
  readonly aborts?: string;
  /** Aborts a session so long after a text of it; to be listed before ours, which holds what comes after it. */
  readonly abortsAfterTextMs?: number;
}

export default {
  id: "run-companion",
  server: async ({ client }, options: CompanionOptions = {}) => {
    const { slowMs, aborts, abortsAfterTextMs } = options;
    const wanted = new Set<string>();
    return {
      event: async ({ event }) => {
        if (event.type === "session.created" && aborts !== undefined && event.properties.info.title.includes(aborts))
          wanted.add(event.properties.info.id);
        if (event.type !== "message.updated" || event.properties.info.role !== "assistant") return;
        const id = event.properties.info.sessionID;
        if (wanted.delete(id)) await client.session.abort({ path: { id } });
      },
      "experimental.text.complete": async ({ sessionID: id }) => {
        if (abortsAfterTextMs !== undefined)
          setTimeout(() => void client.session.abort({ path: { id } }), abortsAfterTextMs);
      },
      "chat.message": async (_input, { parts }) => {
        const isMachines = parts.every((part) => part.type !== "text" || part.synthetic === true);
        if (slowMs !== undefined && isMachines) await new Promise((resolve) => setTimeout(resolve, slowMs));
      },
    };
  },
} satisfies PluginModule & { id: string };
