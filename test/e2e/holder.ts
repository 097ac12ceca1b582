/** A plugin behind ours that holds prompts back until they are let go, and the state that a process leaves which dies while it stores one. */
import { Database } from "bun:sqlite";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { Stage } from "./stage.ts";

export const HOLDER = import.meta.path;

/** Files in the project: what is to be held back, and what was. */
const HOLD = "hold.json";
const HELD = "held.jsonl";

/** The hook runs before anything is stored; ours, which runs before it, has heard of the message by then. */
export default {
  id: "holder",
  server: async ({ directory }) => ({
    "chat.message": async ({ sessionID }, { message, parts }) => {
      const file = join(directory, HOLD);
      const words: readonly string[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
      const said = parts.map((part) => (part.type === "text" ? part.text : "")).join("\n");
      if (!words.some((word) => said.includes(word))) return;
      appendFileSync(join(directory, HELD), `${JSON.stringify({ sessionID, messageID: message.id, said })}\n`);
      while (existsSync(file)) await Bun.sleep(20);
    },
  }),
} satisfies PluginModule & { id: string };

/** A prompt that was held back. */
export interface HeldPrompt {
  readonly sessionID: string;
  readonly messageID: string;
  readonly said: string;
}

/** Prompts that hold one of these texts are held back from now on. */
export function hold({ opencode }: Stage, words: readonly string[]): void {
  writeFileSync(join(opencode.directory, HOLD), JSON.stringify(words));
}

/** What was held back goes on, and nothing else is. */
export function letGo({ opencode }: Stage): void {
  rmSync(join(opencode.directory, HOLD), { force: true });
}

export function held({ opencode }: Stage): readonly HeldPrompt[] {
  const file = join(opencode.directory, HELD);
  const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  return lines.map((line) => JSON.parse(line) as HeldPrompt);
}

/**
 * What a `kill -9` leaves that comes between a message and its parts: for each prompt that was held back its row, which
 * OpenCode stores first. OpenCode is killed, and has to be started again.
 */
export async function killTorn(stage: Stage): Promise<void> {
  await stage.server.kill();
  letGo(stage);
  using database = open(stage);
  const voice = { role: "user", agent: "build", model: { providerID: "scripted", modelID: "model" } };
  for (const { sessionID, messageID } of held(stage)) {
    const created = Date.now();
    const data = JSON.stringify({ ...voice, time: { created } });
    const row = [messageID, sessionID, created, created, data];
    database.run("insert into message (id, session_id, time_created, time_updated, data) values (?, ?, ?, ?, ?)", row);
  }
}

/** Changes what is stored of a root while no OpenCode runs. */
export function rewrite(stage: Stage, rootID: string, change: (stored: StoredRoot) => StoredRoot): void {
  using database = open(stage);
  const row = database.query<{ metadata: string }, [string]>("select metadata from session where id = ?").get(rootID);
  const metadata = JSON.parse(row?.metadata ?? "{}");
  const changed = JSON.stringify({ ...metadata, goalkeeper: change(metadata.goalkeeper) });
  database.run("update session set metadata = ? where id = ?", [changed, rootID]);
}

function open({ opencode }: Stage): Database {
  return new Database(join(opencode.root, "data/opencode/opencode.db"));
}
