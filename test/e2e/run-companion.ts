/** Another plugin beside ours in an `opencode run`. Its options say what it does. */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";
import { createGate } from "../../src/testing/index.ts";

export const COMPANION = import.meta.path;

export interface CompanionOptions {
  /**
   * Its `chat.message` hook keeps what no person wrote until the turn is over, and OpenCode does not end before that is
   * stored: both happen to a slow plugin on a busy machine.
   */
  readonly storesLate?: boolean;
  /** Aborts, once, the child whose title holds this, as soon as it works on its first model request. */
  readonly aborts?: string;
  /** Aborts a session so long after a text of it; to be listed before ours, which holds what comes after it. */
  readonly abortsAfterTextMs?: number;
}

export default {
  id: "run-companion",
  server: async ({ client }, options: CompanionOptions = {}) => {
    const { storesLate = false, aborts, abortsAfterTextMs } = options;
    const turnIsOver = createGate();
    let keptID: string | undefined;
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
      "chat.message": async (_input, { message, parts }) => {
        const isMachines = parts.every((part) => part.type !== "text" || part.synthetic === true);
        if (!storesLate || !isMachines) return;
        keptID = message.id;
        await turnIsOver.opened;
      },
      dispose: async () => {
        if (keptID === undefined) return;
        turnIsOver.open();
        while (!isStored(keptID)) await Bun.sleep(20);
      },
    };
  },
} satisfies PluginModule & { id: string };

/** Whether a message is in OpenCode's database with its text. */
function isStored(messageID: string): boolean {
  const file = join(process.env.XDG_DATA_HOME ?? "", "opencode", "opencode.db");
  using database = new Database(file, { readonly: true });
  return database.query("select 1 from part where message_id = ?").get(messageID) !== null;
}
