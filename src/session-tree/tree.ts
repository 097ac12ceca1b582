import { closeAsks, type HostAsk, receiveAsk } from "../goals/asks.ts";
import type { HostEvent, SessionInfo, Told, TurnError } from "../host/port.ts";
import { heard, NOTHING_HEARD, rankOf, type SessionOrder } from "../tasks/message-order.ts";
import { ABORT_ERROR, byCreation } from "../tasks/outcome.ts";
import { DEEPEST_CHAIN } from "../tasks/session-tree.ts";
import { type Books, readBooks } from "./books.ts";

export type Activity = "idle" | "busy" | "retrying";

/** One session of the directory. Those that are not below the root cost a look and nothing more. */
export interface Node {
  readonly id: string;
  readonly parentID: string | undefined;
  readonly title: string;
  readonly createdAt: number;
  readonly activity: Activity;
  /** When its activity was last heard of or asked for; epoch ms. */
  readonly since: number;
  readonly order: SessionOrder;
  /** The rank of the newest message that wants an answer; "" for none. */
  readonly asked: string;
  /** The rank of the newest message that a completed or failed answer belongs to. */
  readonly answered: string;
}

/** A background task of OpenCode's own Task tool. */
export interface Native {
  readonly id: string;
  readonly parentID: string;
  readonly title: string;
  /** The rank of the newest message of the parent that has sent it off, and of the newest that reports its end. */
  readonly calledIn: string;
  readonly toldIn: string;
  /** What the newest report says. */
  readonly told: Told | undefined;
}

/** How the last turn of the root failed, until a newer message comes. */
export interface Failure {
  readonly error: TurnError;
  /** The rank of the newest message of the root at that moment. */
  readonly at: string;
}

/** All that is known of a root session and of what is below it. Changed by {@link receive} alone. */
export interface Tree {
  readonly rootID: string;
  readonly deleted: boolean;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly natives: ReadonlyMap<string, Native>;
  readonly asks: readonly HostAsk[];
  readonly failure: Failure | undefined;
  /** What task managers have written into the metadata of the root, goalkeeper's plugin among them. */
  readonly books: readonly Books[];
  /** The plugin instances that have kept these books and are gone, with their process. */
  readonly gone: ReadonlySet<string>;
  readonly joinedAt: number;
  /** When anything of the tree was last heard: books of which nothing more is heard are nobody's any more. */
  readonly heardAt: number;
}

export function newTree(rootID: string, now: number): Tree {
  return {
    rootID,
    deleted: false,
    nodes: new Map(),
    natives: new Map(),
    asks: [],
    failure: undefined,
    books: [],
    gone: new Set(),
    joinedAt: now,
    heardAt: now,
  };
}

const TYPES = [
  "session-seen",
  "session-deleted",
  "session-busy",
  "session-retrying",
  "session-idle",
  "session-error",
  "user-text",
  "assistant-message",
  "tool",
  "ask-opened",
  "ask-closed",
] as const;

/** What says something about a tree; the rest of the host's events is left out. */
export type TreeEvent = Extract<HostEvent, { readonly type: (typeof TYPES)[number] }>;

export function isTreeEvent(event: HostEvent): event is TreeEvent {
  return TYPES.some((type) => type === event.type);
}

/** What an event of the directory means for the tree. Events may come twice: a late join reads them from transcripts. */
export function receive(tree: Tree, event: TreeEvent, now: number): Tree {
  switch (event.type) {
    case "session-seen":
      return seen(tree, event.session, now);
    case "session-deleted":
      return deleted(tree, event.sessionID, now);
    case "session-busy":
      return active(tree, event.sessionID, "busy", now);
    case "session-retrying":
      return active(tree, event.sessionID, "retrying", now);
    case "session-idle":
      return idle(tree, event.sessionID, now);
    case "session-error":
      return event.sessionID === tree.rootID ? failed(tree, event.error, now) : tree;
    case "user-text":
      if (event.told !== undefined) return told(tree, event.sessionID, event.messageID, event.told, now);
      return event.ignored ? tree : asked(tree, event.sessionID, event.messageID, now);
    case "assistant-message":
      return answered(tree, event, now);
    case "tool":
      return called(tree, event, now);
    case "ask-opened":
    case "ask-closed":
      return receiveAsk(tree, event);
  }
}

/**
 * What a transcript of the root tells, as the events that it would have been. A failure that only an event has told of
 * stays: no message may hold it, and the steps before it were good.
 */
export function receiveTranscript(tree: Tree, events: readonly TreeEvent[], now: number): Tree {
  const read = events.reduce((next, event) => receive(next, event, now), tree);
  const before = tree.failure;
  const isOlder = before === undefined || before.at !== (read.nodes.get(tree.rootID)?.asked ?? "");
  return isOlder || read.failure !== undefined ? read : { ...read, failure: before };
}

/** Whether a session is the root or below it. */
export function isWithin(tree: Tree, sessionID: string): boolean {
  let current: string | undefined = sessionID;
  for (let depth = 0; current !== undefined && depth < DEEPEST_CHAIN; depth++) {
    if (current === tree.rootID) return true;
    current = tree.nodes.get(current)?.parentID;
  }
  return false;
}

/** The root and what is below it, oldest first. */
export function sessionsOf(tree: Tree): readonly Node[] {
  return [...tree.nodes.values()].filter(({ id }) => isWithin(tree, id)).sort(byCreation);
}

/** Whether the root's last turn was aborted, by whomever: then nothing but the user's next message goes on. */
export function isInterrupted(tree: Tree): boolean {
  return tree.failure?.error.name === ABORT_ERROR;
}

/** What the host has answered about the activity of all sessions. `newer`: those of which events have told since. */
export function asSeen(
  tree: Tree,
  statuses: ReadonlyMap<string, "busy" | "retrying">,
  newer: ReadonlySet<string>,
  now: number,
): Tree {
  let next = tree;
  for (const { id, activity } of tree.nodes.values()) {
    if (newer.has(id) || activity === "idle" || statuses.has(id)) continue;
    next = idle(next, id, now);
  }
  for (const [id, activity] of statuses) {
    if (!newer.has(id) && next.nodes.get(id)?.activity !== activity) next = active(next, id, activity, now);
  }
  return next;
}

function seen(tree: Tree, { id, parentID, title, createdAt, metadata }: SessionInfo, now: number): Tree {
  const next = withNode(tree, id, now, { parentID, title, createdAt });
  if (id !== tree.rootID) return next;
  const books = readBooks(id, metadata);
  const changed = JSON.stringify(books) !== JSON.stringify(tree.books);
  return changed ? { ...next, books, heardAt: now } : next;
}

function deleted(tree: Tree, sessionID: string, now: number): Tree {
  const rest = closeAsks(tree, sessionID);
  if (sessionID === tree.rootID) return { ...rest, deleted: true };
  if (!tree.nodes.has(sessionID)) return rest;
  const nodes = new Map(tree.nodes);
  nodes.delete(sessionID);
  return { ...rest, nodes, heardAt: now };
}

function active(tree: Tree, sessionID: string, activity: "busy" | "retrying", now: number): Tree {
  return { ...withNode(tree, sessionID, now, { activity, since: now }), heardAt: now };
}

/** A session whose turn has ended asks nothing any more: an abort closes its asks without an event. */
function idle(tree: Tree, sessionID: string, now: number): Tree {
  const before = tree.nodes.get(sessionID);
  if (before === undefined || before.activity === "idle") return tree;
  const rested = withNode(tree, sessionID, now, { activity: "idle", since: now });
  const next = { ...closeAsks(rested, sessionID), heardAt: now };
  // An abort while the provider is asked again publishes no error: only this idle, with nothing answered.
  const aborted = sessionID === tree.rootID && before.activity === "retrying" && before.asked > before.answered;
  return aborted ? failed(next, { name: ABORT_ERROR, message: "The turn was aborted" }, now) : next;
}

/** A message that wants an answer: the user's, a continuation, a report. The grace for its answer counts from here. */
function asked(tree: Tree, sessionID: string, messageID: string, now: number): Tree {
  const { order, asked: before } = tree.nodes.get(sessionID) ?? newNode(sessionID, now);
  const known = heard(order, messageID, now);
  const rank = rankOf(known, messageID, now);
  if (rank <= before) return known === order ? tree : withNode(tree, sessionID, now, { order: known });
  const next = withNode(tree, sessionID, now, { order: known, asked: rank, since: now });
  return { ...next, failure: sessionID === tree.rootID ? undefined : tree.failure, heardAt: now };
}

function told(tree: Tree, sessionID: string, messageID: string, report: Told, now: number): Tree {
  const next = asked(tree, sessionID, messageID, now);
  const before = next.natives.get(report.taskID) ?? newNative(report.taskID, sessionID, "");
  const rank = rankOf(next.nodes.get(sessionID)?.order ?? NOTHING_HEARD, messageID, now);
  return rank <= before.toldIn ? next : withNative(next, { ...before, toldIn: rank, told: report });
}

function answered(tree: Tree, event: Extract<HostEvent, { type: "assistant-message" }>, now: number): Tree {
  const { sessionID, messageID, parentID, error } = event;
  if (event.summary || (event.completedAt === undefined && error === undefined)) return tree;
  const before = tree.nodes.get(sessionID) ?? newNode(sessionID, now);
  const order = heard(heard(before.order, parentID, now, messageID), messageID, now);
  const rank = rankOf(order, parentID, now);
  const answered = later(before.answered, rank);
  const isNews = order !== before.order || answered !== before.answered;
  const next = isNews ? withNode(tree, sessionID, now, { order, answered }) : tree;
  const isNewest = sessionID === tree.rootID && rank >= before.asked;
  if (!isNewest) return next;
  return error === undefined ? { ...next, failure: undefined } : failed(next, error, now);
}

function called(tree: Tree, event: Extract<HostEvent, { type: "tool" }>, now: number): Tree {
  const { child, messageID, sessionID, state } = event;
  if (child === undefined || !child.background || state === "error") return tree;
  const { sessionID: id, title } = child;
  const before = tree.natives.get(id) ?? newNative(id, sessionID, title);
  const order = heard(tree.nodes.get(sessionID)?.order ?? NOTHING_HEARD, messageID, now);
  const calledIn = later(before.calledIn, rankOf(order, messageID, now));
  const native = { ...before, parentID: sessionID, title, calledIn };
  return { ...withNative(withNode(tree, sessionID, now, { order }), native), heardAt: now };
}

function failed(tree: Tree, error: TurnError, now: number): Tree {
  const at = tree.nodes.get(tree.rootID)?.asked ?? "";
  // An abort stays one: what breaks because of it is no other failure.
  if (tree.failure?.at === at && tree.failure.error.name === ABORT_ERROR) return tree;
  return { ...tree, failure: { error, at }, heardAt: now };
}

function withNode(tree: Tree, id: string, now: number, change: Partial<Node>): Tree {
  const before = tree.nodes.get(id) ?? newNode(id, now);
  const nodes = new Map(tree.nodes);
  nodes.set(id, { ...before, ...change });
  return { ...tree, nodes };
}

function newNode(id: string, now: number): Node {
  const unknown = { parentID: undefined, title: "", createdAt: now };
  return { id, ...unknown, activity: "idle", since: now, order: NOTHING_HEARD, asked: "", answered: "" };
}

function newNative(id: string, parentID: string, title: string): Native {
  return { id, parentID, title, calledIn: "", toldIn: "", told: undefined };
}

function withNative(tree: Tree, native: Native): Tree {
  return { ...tree, natives: new Map(tree.natives).set(native.id, native) };
}

function later(one: string, other: string): string {
  return one < other ? other : one;
}
