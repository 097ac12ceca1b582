/** A plugin that counts in the metadata of every session that works, as carefully as anybody can. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";

export const COUNTING_NEIGHBOUR = import.meta.path;

export interface Count {
  readonly writes: number;
  /** How often the next look showed less than was written. */
  readonly wentBack: number;
  /** How often it stayed so. */
  readonly stayed: number;
}

/** A file in the project: it stops counting. */
const STOP = "stop-counting";
/** Longer than anybody waits for a write. */
const STAYS_MS = 30_000;

export function stopCounting(directory: string): void {
  writeFileSync(join(directory, STOP), "");
}

/** What it has counted in a session, once it has stopped. */
export function counted(directory: string, sessionID: string): Count | undefined {
  const file = join(directory, `${sessionID}.count`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Count) : undefined;
}

interface Session {
  get(request: { path: { id: string } }): Promise<{ data?: { metadata?: { neighbour?: number } } }>;
  update(request: { path: { id: string }; body: { metadata: object } }): Promise<unknown>;
}

export default {
  id: "counting-neighbour",
  server: async ({ client, directory }) => {
    const session = client.session as unknown as Session;
    const counting = new Set<string>();
    const isStopped = () => existsSync(join(directory, STOP));
    const read = async (id: string) => (await session.get({ path: { id } })).data?.metadata ?? {};

    const isBackSoon = async (id: string, written: number): Promise<boolean> => {
      for (const until = Date.now() + STAYS_MS; Date.now() < until; await Bun.sleep(20))
        if (((await read(id)).neighbour ?? 0) >= written) return true;
      return false;
    };

    const count = async (id: string): Promise<void> => {
      let [writes, wentBack, stayed] = [0, 0, 0];
      while (!isStopped()) {
        let metadata = await read(id);
        if ((metadata.neighbour ?? 0) < writes) {
          wentBack++;
          if (!(await isBackSoon(id, writes))) stayed++;
          metadata = await read(id);
        }
        writes++;
        await session.update({ path: { id }, body: { metadata: { ...metadata, neighbour: writes } } });
        await Bun.sleep(Math.random() * 10);
      }
      writeFileSync(join(directory, `${id}.count`), JSON.stringify({ writes, wentBack, stayed } satisfies Count));
    };

    return {
      event: async ({ event }) => {
        if (event.type !== "session.status" || event.properties.status.type !== "busy") return;
        const { sessionID } = event.properties;
        if (counting.has(sessionID)) return;
        counting.add(sessionID);
        void count(sessionID);
      },
    };
  },
} satisfies PluginModule & { id: string };
