import { readLost } from "../delivery/notice.ts";
import type { HostEvent } from "./port.ts";
import { readProviderError } from "./provider-error.ts";
import { list, moment, type Raw, record, text } from "./raw.ts";
import { readSession, readUsage, readVoice } from "./read.ts";
import type { CallOfTool } from "./registry.ts";
import { readTold } from "./told.ts";

/** Sessions of which something is remembered. */
const MOST_SESSIONS = 1_000;
/** The host may store a few at once, and tell of their parts afterwards. */
const MOST_USER_MESSAGES = 8;

export interface EventSink {
  /** When this instance was loaded; epoch ms. What OpenCode had begun before it ended with the instance before. */
  readonly loadedAt: number;
  /** Something that can change a task or a goal. */
  readonly event: (event: HostEvent) => void;
  /** A sign of life and nothing more. */
  readonly sign: (sessionID: string) => void;
  /** Whether a completed call that has the name of a tool of ours was answered by somebody else; absent: there are none. */
  readonly isOthers?: ((call: CallOfTool) => boolean) | undefined;
  /** An event that was dropped: `unused` is of a type of no use here, `unread` of a shape that is not known. */
  readonly dropped?: ((why: Dropped, type: string) => void) | undefined;
}

export type Dropped = "unused" | "unread";

/**
 * Turns OpenCode's events into {@link HostEvent}s. It is called for every token of every session: an event of no use
 * costs one look-up in a map. Events of a shape that it does not know are dropped, never thrown.
 */
export class EventTranslator {
  /** By session, the last ones that were heard of, to tell the parts of a user message from the assistant's. */
  private readonly userMessages = new Map<string, readonly string[]>();
  /** The answer of each session that was heard to begin last. */
  private readonly begunAnswer = new Map<string, string>();
  /** Calls that were seen at work and may be of our tools: only of these it is known that they would have reached us. */
  private readonly seenRunning = new Map<string, string>();
  /** By part, the child of a Task tool's call that runs: of another plugin's tool it need not stand in the result. */
  private readonly childOfCall = new Map<string, string>();
  private readonly handlers = new Map<string, (properties: Raw) => void>([
    ["message.part.delta", (properties) => this.delta(properties)],
    ["message.part.updated", (properties) => this.part(record(properties.part))],
    ["message.updated", (properties) => this.message(record(properties.info))],
    ["message.removed", (properties) => this.removed(properties)],
    ["session.status", (properties) => this.status(properties)],
    ["session.created", (properties) => this.session(properties, true)],
    ["session.updated", (properties) => this.session(properties, false)],
    ["session.deleted", (properties) => this.deleted(properties)],
    ["session.error", (properties) => this.error(properties)],
    ["session.compacted", (properties) => this.compacted(properties)],
    ["permission.asked", (properties) => this.asked(properties, "permission")],
    ["permission.replied", (properties) => this.closed(properties, "permission", properties.reply === "reject")],
    ["question.asked", (properties) => this.asked(properties, "question")],
    ["question.replied", (properties) => this.closed(properties, "question", false)],
    ["question.rejected", (properties) => this.closed(properties, "question", true)],
  ]);

  constructor(private readonly sink: EventSink) {}

  receive(event: { readonly type: string; readonly properties?: unknown }): void {
    const handler = this.handlers.get(event.type);
    if (handler === undefined) return this.sink.dropped?.("unused", event.type);
    handler(record(event.properties));
  }

  /** A later OpenCode may say it otherwise. */
  private unread(type: string): void {
    this.sink.dropped?.("unread", type);
  }

  /** A user message about to be stored, with its parts: on a fresh instance the events about them come a second later. */
  userMessage(message: unknown, parts: readonly unknown[]): void {
    this.message(record(message));
    for (const part of parts) this.part(record(part));
  }

  private delta(properties: Raw): void {
    const sessionID = properties.sessionID;
    if (typeof sessionID === "string") this.sink.sign(sessionID);
  }

  private message(info: Raw): void {
    const sessionID = text(info.sessionID);
    const messageID = text(info.id);
    if (sessionID === undefined || messageID === undefined) return this.unread("message.updated");
    this.sink.sign(sessionID);
    if (info.role === "user") {
      this.rememberUser(sessionID, messageID);
      return this.sink.event({ type: "user-message", sessionID, messageID, voice: readVoice(info) });
    }
    const parentID = text(info.parentID);
    if (info.role !== "assistant" || parentID === undefined) return this.unread("message.updated");
    const { created, completed } = record(info.time);
    const completedAt = moment(completed);
    if (completedAt === undefined && info.error === undefined) remember(this.begunAnswer, sessionID, messageID);
    this.sink.event({
      type: "assistant-message",
      sessionID,
      messageID,
      parentID,
      summary: info.summary === true,
      completedAt,
      error: readProviderError(info.error, true),
      ...(this.isOld(sessionID, messageID, created) ? { fromBefore: true } : {}),
      usage: completedAt === undefined ? undefined : readUsage(info),
    });
  }

  /** Clocks are set back: what was heard to begin is of this instance, whenever that was. */
  private isOld(sessionID: string, messageID: string, begunAt: unknown): boolean {
    if (this.begunAnswer.get(sessionID) === messageID) return false;
    const at = moment(begunAt);
    return at !== undefined && at < this.sink.loadedAt;
  }

  private part(part: Raw): void {
    const sessionID = text(part.sessionID);
    const messageID = text(part.messageID);
    if (sessionID === undefined || messageID === undefined) return this.unread("message.part.updated");
    this.sink.sign(sessionID);
    if (part.type === "tool") return this.tool(sessionID, messageID, part);
    if (this.userMessages.get(sessionID)?.includes(messageID) === true)
      return this.userPart(sessionID, messageID, part);
    const isComplete = part.type === "text" && moment(record(part.time).end) !== undefined;
    if (isComplete) this.sink.event({ type: "assistant-text", sessionID, text: text(part.text) ?? "" });
  }

  private userPart(sessionID: string, messageID: string, part: Raw): void {
    if (part.type === "compaction") return;
    const body = text(part.text) ?? "";
    const synthetic = part.synthetic === true;
    const told = synthetic ? readTold(body) : undefined;
    const ignored = part.ignored === true;
    const lost = ignored ? [] : readLost(body);
    this.sink.event({
      type: "user-text",
      sessionID,
      messageID,
      text: body,
      synthetic,
      ignored,
      ...(told === undefined ? {} : { told }),
      ...(lost.length === 0 ? {} : { lost }),
    });
  }

  private tool(sessionID: string, messageID: string, part: Raw): void {
    const state = record(part.state);
    const status = state.status;
    const callID = text(part.callID);
    const tool = text(part.tool);
    // Its arguments are still being written.
    if (status === "pending") return;
    if (
      callID === undefined ||
      tool === undefined ||
      (status !== "running" && status !== "completed" && status !== "error")
    )
      return this.unread("message.part.updated");
    const byOther = this.isByOther({ sessionID, messageID, tool }, callID, status);
    const metadata = record(state.metadata);
    const childID =
      tool === "task" ? this.childOf(text(part.id) ?? callID, status, text(metadata.sessionId)) : undefined;
    const child = {
      sessionID: childID ?? "",
      background: metadata.background === true,
      title: text(state.title) ?? text(record(state.input).description) ?? "",
    };
    this.sink.event({
      type: "tool",
      sessionID,
      messageID,
      callID,
      tool,
      state: status,
      output: text(state.output) ?? text(state.error) ?? "",
      ...(status === "error" && this.isOld(sessionID, messageID, record(state.time).start) ? { fromBefore: true } : {}),
      ...(byOther ? { byOther } : {}),
      ...(childID === undefined ? {} : { child }),
    });
  }

  private isByOther(call: CallOfTool, callID: string, status: "running" | "completed" | "error"): boolean {
    const { isOthers } = this.sink;
    if (isOthers === undefined) return false;
    const key = `${call.sessionID} ${callID}`;
    if (status === "running") {
      remember(this.seenRunning, key, call.tool);
      return false;
    }
    const wasSeen = this.seenRunning.delete(key);
    return wasSeen && status === "completed" && isOthers(call);
  }

  /** Who has called it is told of the child in what it returns, whether or not that names the child. */
  private childOf(partID: string, status: "running" | "completed" | "error", named: string | undefined) {
    if (status === "running" && named !== undefined) remember(this.childOfCall, partID, named);
    const known = status === "completed" ? this.childOfCall.get(partID) : undefined;
    if (status !== "running") this.childOfCall.delete(partID);
    return named ?? known;
  }

  private status(properties: Raw): void {
    const sessionID = text(properties.sessionID);
    const status = record(properties.status);
    if (sessionID === undefined) return this.unread("session.status");
    this.sink.sign(sessionID);
    switch (status.type) {
      case "busy":
        return this.sink.event({ type: "session-busy", sessionID });
      case "idle":
        return this.sink.event({ type: "session-idle", sessionID });
      case "retry":
        return this.sink.event({
          type: "session-retrying",
          sessionID,
          until: moment(status.next) ?? 0,
          message: text(status.message) ?? "",
        });
      default:
        return this.unread("session.status");
    }
  }

  private session(properties: Raw, created: boolean): void {
    const session = readSession(properties.info);
    if (session === undefined) return this.unread(created ? "session.created" : "session.updated");
    this.sink.event({ type: "session-seen", session, created });
  }

  private deleted(properties: Raw): void {
    const info = record(properties.info);
    const sessionID = text(info.id) ?? text(properties.sessionID);
    if (sessionID === undefined) return this.unread("session.deleted");
    const parentID = text(info.parentID);
    this.userMessages.delete(sessionID);
    this.begunAnswer.delete(sessionID);
    this.sink.event({ type: "session-deleted", sessionID, ...(parentID === undefined ? {} : { parentID }) });
  }

  private error(properties: Raw): void {
    const sessionID = text(properties.sessionID);
    const error = readProviderError(properties.error);
    if (sessionID === undefined) return; // An error of OpenCode's own.
    if (error === undefined) return this.unread("session.error");
    this.sink.event({ type: "session-error", sessionID, error });
  }

  private compacted(properties: Raw): void {
    const sessionID = text(properties.sessionID);
    if (sessionID === undefined) return this.unread("session.compacted");
    this.sink.event({ type: "session-compacted", sessionID });
  }

  private removed(properties: Raw): void {
    const sessionID = text(properties.sessionID);
    const messageID = text(properties.messageID);
    if (sessionID === undefined || messageID === undefined) return this.unread("message.removed");
    this.sink.event({ type: "message-removed", sessionID, messageID });
  }

  private asked(properties: Raw, kind: "permission" | "question"): void {
    const sessionID = text(properties.sessionID);
    const askID = text(properties.id);
    if (sessionID === undefined || askID === undefined) return this.unread(`${kind}.asked`);
    const about = kind === "permission" ? permissionWords(properties) : questionWords(properties);
    this.sink.event({ type: "ask-opened", sessionID, askID, kind, about });
  }

  private closed(properties: Raw, kind: "permission" | "question", rejected: boolean): void {
    const sessionID = text(properties.sessionID);
    const askID = text(properties.requestID) ?? text(properties.id);
    if (sessionID === undefined || askID === undefined) return this.unread(`${kind}.replied`);
    this.sink.event({ type: "ask-closed", sessionID, askID, kind, rejected });
  }

  /** Old user messages are published again; only the last few can still get parts. */
  private rememberUser(sessionID: string, messageID: string): void {
    const known = this.userMessages.get(sessionID) ?? [];
    const last = known.includes(messageID) ? known : [...known, messageID].slice(-MOST_USER_MESSAGES);
    remember(this.userMessages, sessionID, last);
  }
}

function remember<T>(map: Map<string, T>, sessionID: string, value: T): void {
  // To the end of the map: the first one is the longest unused.
  map.delete(sessionID);
  map.set(sessionID, value);
  if (map.size <= MOST_SESSIONS) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/** What is to be allowed, and for what: `bash: rm -rf build`. */
function permissionWords({ permission, patterns }: Raw): string {
  const what = text(permission) ?? "";
  const forWhat = list(patterns).filter((pattern) => typeof pattern === "string" && pattern !== "*");
  return forWhat.length === 0 ? what : `${what}: ${forWhat.join(", ")}`;
}

/** The first question; the others are asked in the same breath. */
function questionWords({ questions }: Raw): string {
  const { header, question } = record(list(questions)[0]);
  return [text(header), text(question)].filter((part) => part !== undefined).join(": ");
}
