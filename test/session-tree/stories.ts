/** What happens below a root, as OpenCode tells it; a test names only what its rule is about. */
import type { TurnError } from "../../src/host/port.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { newTree, receive, type Tree, type TreeEvent } from "../../src/session-tree/tree.ts";
import { anID, CHILD, ROOT, T0 } from "../support/builders.ts";

export const ERROR: TurnError = { name: "APIError", message: "the key is wrong", statusCode: 401 };
export const ABORTED: TurnError = { name: "MessageAbortedError", message: "Aborted" };

/** Made long ago: of one just made its first prompt is waited for. */
export function session(
  id: string,
  parentID?: string,
  metadata: Record<string, unknown> = {},
  createdAt = T0 - 60_000,
): TreeEvent {
  const info = { id, title: id, createdAt, archived: false, metadata };
  return { type: "session-seen", created: true, session: parentID === undefined ? info : { ...info, parentID } };
}

export function busy(sessionID: string): TreeEvent {
  return { type: "session-busy", sessionID };
}

export function idle(sessionID: string): TreeEvent {
  return { type: "session-idle", sessionID };
}

/** Messages are named in their order: `msg_1` is older than `msg_2`. Their ids are of OpenCode's own form. */
function idOf(name: string, nth = 0): string {
  return anID(Number(name.slice("msg_".length)) * 10 + nth);
}

export function says(name: string, sessionID = ROOT): TreeEvent {
  const messageID = idOf(name);
  return { type: "user-text", sessionID, messageID, text: "go", synthetic: false, ignored: false };
}

export function answers(name: string, error?: TurnError, sessionID = ROOT): TreeEvent {
  const message = { sessionID, messageID: idOf(name, 1), parentID: idOf(name), summary: false, usage: undefined };
  return { type: "assistant-message", ...message, completedAt: T0, error };
}

/** OpenCode's own Task tool has sent a background task off. */
export function sendsOff(name: string, taskID = CHILD, sessionID = ROOT): TreeEvent {
  const messageID = idOf(name);
  const child = { sessionID: taskID, background: true, title: "look at the tests" };
  return { type: "tool", sessionID, messageID, callID: "call", tool: "task", state: "completed", output: "", child };
}

/** OpenCode reports the end of one. */
export function reports(name: string, taskID = CHILD, sessionID = ROOT): TreeEvent {
  const messageID = idOf(name);
  const told = { taskID, ended: "completed", text: "done" } as const;
  return { type: "user-text", sessionID, messageID, text: "", synthetic: true, ignored: false, told };
}

export function fails(error: TurnError, sessionID = ROOT): TreeEvent {
  return { type: "session-error", sessionID, error };
}

export function asks(sessionID: string): TreeEvent {
  return { type: "ask-opened", sessionID, askID: "per_1", kind: "permission", about: "bash" };
}

/** Goalkeeper's books in the metadata of the root. */
export function books(stored: Partial<StoredRoot>, self = ROOT): Record<string, unknown> {
  const owner = { host: "elsewhere", pid: 1, processStartedAt: 0, instance: "i" };
  return { goalkeeper: { version: 1, self, owner, claim: 1, revision: 1, tasks: [], ...stored } };
}

/** All of it at T0, one after the other. */
export function story(events: readonly TreeEvent[], tree: Tree = newTree(ROOT, T0), now = T0): Tree {
  return events.reduce((next, event) => receive(next, event, now), tree);
}

/** A root that has answered its one message. */
export const RESTED: readonly TreeEvent[] = [session(ROOT), busy(ROOT), says("msg_1"), answers("msg_1"), idle(ROOT)];
