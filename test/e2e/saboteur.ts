/** A plugin that kills or holds its own OpenCode at an exact moment, which no signal from outside can hit. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";

export const SABOTEUR = import.meta.path;

/** A file in the project: the process kills itself at the first event whose JSON holds all of these strings. */
export const KILL_ON = "kill-on.json";
/** A prompt that is this, or OpenCode's report of an ended task that quotes it, is never stored. */
export const NEVER_STORED = "never-stored";

const FOR_EVER = new Promise<never>(() => {});

export default {
  id: "saboteur",
  server: async ({ directory }) => {
    const file = join(directory, KILL_ON);
    return {
      event: async ({ event }) => {
        if (!existsSync(file)) return;
        const wanted = JSON.parse(readFileSync(file, "utf8")) as string[];
        const json = JSON.stringify(event);
        if (!wanted.every((part) => json.includes(part))) return;
        rmSync(file);
        process.kill(process.pid, "SIGKILL");
      },
      "chat.message": async (_input, { parts }) => {
        for (const part of parts) if (part.type === "text" && isHeldBack(part.text)) await FOR_EVER;
      },
    };
  },
} satisfies PluginModule & { id: string };

function isHeldBack(text: string): boolean {
  return text === NEVER_STORED || (text.startsWith("<task id=") && text.includes(NEVER_STORED));
}
