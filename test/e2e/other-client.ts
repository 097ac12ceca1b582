import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Stage } from "./stage.ts";

/** What somebody else does to the same OpenCode, over HTTP and past our plugin. */
export async function request(stage: Stage, method: string, path: string, body?: unknown): Promise<unknown> {
  const url = new URL(path, stage.server.url);
  url.searchParams.set("directory", stage.opencode.directory);
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** Replaces the metadata of a session whole, as the host does it. */
export async function writeMetadata(stage: Stage, sessionID: string, metadata: unknown): Promise<void> {
  await request(stage, "PATCH", `/session/${sessionID}`, { metadata });
}

/**
 * Takes a session out of OpenCode's database while OpenCode runs, so that no event tells of it. What works for the
 * session in memory goes on until its next write fails.
 */
export function vanish(stage: Stage, sessionID: string): void {
  using database = new Database(join(stage.opencode.env.XDG_DATA_HOME ?? "", "opencode", "opencode.db"));
  database.run("pragma foreign_keys = on");
  database.run("pragma busy_timeout = 5000");
  database.run("delete from session where id = ?", [sessionID]);
}

/** Our own lines in OpenCode's log. */
export function logLines(stage: Stage, words = ""): string[] {
  const lines = stage.opencode.readLog().split("\n");
  return lines.filter((line) => line.includes('message="goalkeeper: ') && line.includes(words));
}
