import type { HostEvent, TurnError, Voice } from "../host/port.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import {
  type SimulatedCall,
  type SimulatedMessage,
  type SimulatedSession,
  SimulatedSessions,
  toInfo,
  usageOf,
} from "./simulated-sessions.ts";

export interface SimulatedHostOptions {
  readonly clock: SimulatedClock;
  /** Called synchronously, in publish order, as OpenCode calls a plugin's `event` hook. */
  readonly onEvent: (event: HostEvent) => void;
  /** The `chat.message` hook: texts to add to a user-role message as synthetic parts, before it is stored. */
  readonly onChatMessage?: (message: { sessionID: string; messageID: string; synthetic: boolean }) => readonly string[];
  /** The `dispose` hook. No event reaches the plugin after it. */
  readonly onDispose?: () => void;
  /** How long a turn takes that nobody ends by hand; undefined: until somebody does. */
  readonly turnMs?: (sessionID: string) => number | undefined;
}

export const TASK_TOOL = "task";
/** What OpenCode names an error of its own. */
export const UNKNOWN_ERROR = "UnknownError";
export const ABORTED: TurnError = { name: "MessageAbortedError", message: "Aborted" };
/** Milliseconds between the steps of a sequence, as measured on OpenCode 1.18.33 and rounded. */
export const AFTER = {
  text: 1,
  sessionUpdated: 2,
  busy: 3,
  toolRunning: 6,
  childPrompt: 10,
  childBusy: 23,
  backgroundCompleted: 30,
  hostTells: 3,
  toolEnds: 5,
  wakesParent: 20,
  secondIdle: 20,
  toolGivenUp: 250,
  rootAborts: 10,
  republish: 30,
} as const;

/**
 * The works: the database, and what is published of it. Above it `SimulatedTaskTool`, the native Task tool;
 * `SimulatedTurns`, the run loop; and `SimulatedOpencode`, what people and models do to it.
 */
export class SimulatedEngine {
  protected readonly sessions: SimulatedSessions;
  protected generation = 0;
  protected muted = false;

  constructor(protected readonly options: SimulatedHostOptions) {
    this.sessions = new SimulatedSessions(() => options.clock.now());
  }

  protected get epoch(): number {
    return this.generation;
  }

  protected emit(event: HostEvent): void {
    const sessionID = event.type === "session-seen" ? event.session.id : event.sessionID;
    const isGone = event.type !== "session-deleted" && this.sessions.get(sessionID) === undefined;
    if (!isGone) this.publish(event);
  }

  protected publish(event: HostEvent): void {
    if (!this.muted) this.options.onEvent(event);
  }

  /** Runs later, unless the process has died by then. */
  protected later(ms: number, work: () => void): void {
    const { generation } = this;
    this.options.clock.after(ms, () => {
      if (generation === this.generation) work();
    });
  }

  /**
   * Stores a user-role message and publishes it, without starting a turn. What the user has undone is deleted before,
   * whoever writes.
   */
  protected store(
    session: SimulatedSession,
    message: {
      id: string;
      parts: readonly { id: string; text: string; synthetic: boolean; ignored: boolean }[];
      voice: Voice | undefined;
    },
    told: () => Extract<HostEvent, { type: "user-text" }>["told"] = () => undefined,
  ): void {
    const { id: sessionID } = session;
    const { id: messageID } = message;
    if (session.undoneFrom !== undefined) this.undoIsFinal(session);
    const synthetic = message.parts.every((part) => part.synthetic || part.ignored);
    const added = this.options.onChatMessage?.({ sessionID, messageID, synthetic }) ?? [];
    const parts = [
      ...message.parts,
      ...added.map((text) => ({ id: this.sessions.id("prt"), text, synthetic: true, ignored: false })),
    ];
    const stored = this.sessions.storeUser(session, { ...message, parts });
    this.emit({ type: "user-message", sessionID, messageID, voice: stored.voice });
    const report = told();
    this.later(AFTER.text, () => {
      for (const { text, synthetic, ignored } of parts) {
        this.emit({
          type: "user-text",
          sessionID,
          messageID,
          text,
          synthetic,
          ignored,
          ...(report === undefined ? {} : { told: report }),
        });
      }
    });
    this.later(AFTER.sessionUpdated, () =>
      this.emit({ type: "session-seen", session: toInfo(session), created: false }),
    );
  }

  protected undoIsFinal(session: SimulatedSession): void {
    for (const messageID of this.sessions.deleteUndone(session))
      this.emit({ type: "message-removed", sessionID: session.id, messageID });
    this.emit({ type: "session-seen", session: toInfo(session), created: false });
  }

  protected emitAnswer(session: SimulatedSession, messageID: string): void {
    const message = session.messages.find((other) => other.id === messageID);
    if (message?.parentID === undefined) return;
    const { parentID, summary, completedAt, error } = message;
    const about = { sessionID: session.id, messageID, parentID };
    this.emit({ type: "assistant-message", ...about, summary, completedAt, error, usage: usageOf(message) });
  }

  /** A part of a tool call is written, and published. */
  protected writeCall(
    sessionID: string,
    message: SimulatedMessage,
    callID: string,
    call: Pick<SimulatedCall, "tool" | "output"> & { readonly state: "running" | "completed" | "error" },
    marks: { readonly byOther?: true } = {},
  ): void {
    message.calls.set(callID, { type: "tool", callID, title: call.tool, input: "{}", ...call });
    this.emit({ type: "tool", sessionID, messageID: message.id, callID, ...call, ...marks });
  }

  protected writeText(sessionID: string, message: SimulatedMessage, text: string): void {
    message.parts.set("text", { text, synthetic: false, ignored: false });
    this.emit({ type: "assistant-text", sessionID, text });
  }

  protected forgetProcess(session: SimulatedSession): void {
    session.status = "idle";
    session.turn = undefined;
    session.job = undefined;
    session.openCalls.clear();
    session.storing = undefined;
    session.asks.clear();
  }
}

/** An error of OpenCode's own is published twice, the second time as it stands in its log. */
export function withStack(error: TurnError): TurnError {
  return { ...error, message: `Error: ${error.message}\n    at <anonymous>` };
}
