import type { HostEvent, TurnError, Voice } from "../host/port.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import {
  type SimulatedCall,
  type SimulatedJob,
  type SimulatedMessage,
  type SimulatedSession,
  SimulatedSessions,
  type SimulatedTurn,
  toInfo,
  unansweredMessage,
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

/** How a turn of a child ended, for the Task tool that waits for it. */
export type End =
  | { readonly kind: "completed"; readonly text: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "aborted" };

const TASK_TOOL = "task";
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

/** By then a turn has its first answer from the model. Aborted earlier it ends as if it had never quite begun. */
const MODEL_ANSWERS_MS = 15;

/**
 * The works: the database, the run loop and the jobs of the Task tool, as far as a plugin sees them. What people and
 * models do to it is in `SimulatedOpencode`.
 */
export class SimulatedEngine {
  protected readonly sessions: SimulatedSessions;
  /** When the host reports an ended background task to its parent: after so many ms, or never. */
  hostTellsAfterMs: number | "never" = AFTER.hostTells;
  /** Models that the host does not have, as "provider/model". It finds out when a turn has begun. */
  readonly unknownModels = new Set<string>();
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

  protected storeText(session: SimulatedSession, text: string, synthetic: boolean): string {
    const id = this.sessions.messageID();
    const told = () => undefined;
    this.store(
      session,
      { id, parts: [{ id: this.sessions.id("prt"), text, synthetic, ignored: false }], voice: undefined },
      told,
    );
    this.wakeLater(session, AFTER.busy);
    return id;
  }

  /** Stores a user-role message and publishes it, without starting a turn. */
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

  /**
   * A prompt of an idle session starts its run loop. That of a busy one is left to the loop that runs: an abort or an
   * error leaves it unanswered, and so does the moment between the loop's last look and its idle.
   */
  protected wakeLater(session: SimulatedSession, ms: number): void {
    if (session.status !== "idle") return;
    const { aborts } = session;
    this.later(ms, () => {
      if (session.aborts === aborts) this.wake(session);
    });
  }

  /** The run loop looks for something to answer; with nothing there it is busy for a moment and idle again. */
  protected wake(session: SimulatedSession): void {
    if (session.status !== "idle" || !this.sessions.all.has(session.id)) return;
    if (unansweredMessage(session) !== undefined) return this.beginTurn(session);
    session.status = "busy";
    this.emit({ type: "session-busy", sessionID: session.id });
    this.later(2, () => {
      session.status = "idle";
      this.emit({ type: "session-idle", sessionID: session.id });
    });
  }

  protected beginTurn(session: SimulatedSession): void {
    const message = unansweredMessage(session);
    if (message === undefined || !this.sessions.all.has(session.id)) return;
    session.status = "busy";
    const model = message.voice === undefined ? "" : nameOf(message.voice);
    if (this.unknownModels.has(model)) return this.failWithoutModel(session, model);
    const answer = this.sessions.beginAnswer(session, message.id);
    session.turn = { answer, begunAt: this.options.clock.now() };
    this.emit({ type: "session-busy", sessionID: session.id });
    this.emitAnswer(session, answer.id);
    this.finishLater(session, answer.id);
  }

  /** Nothing is answered, the idle comes once, and the error is published again behind it. */
  private failWithoutModel(session: SimulatedSession, model: string): void {
    const { id: sessionID } = session;
    const error = { name: UNKNOWN_ERROR, message: `Model not found: ${model}.` };
    this.emit({ type: "session-busy", sessionID });
    this.later(1, () => {
      if (session.status !== "busy" || session.turn !== undefined) return;
      session.status = "idle";
      this.jobEnded(session, { kind: "failed", message: error.message });
      this.emit({ type: "session-error", sessionID, error });
      this.emit({ type: "session-idle", sessionID });
      this.later(1, () => this.emit({ type: "session-error", sessionID, error: withStack(error) }));
    });
  }

  /** A turn that waits for a tool, a foreground child, an ask or the provider is not over. */
  protected finishLater(session: SimulatedSession, answerID: string): void {
    const ms = this.options.turnMs?.(session.id);
    if (ms === undefined) return;
    this.later(ms, () => {
      if (session.turn?.answer.id !== answerID) return;
      const waits =
        session.asks.size > 0 ||
        session.status === "retrying" ||
        this.isHeldByTask(session.id) ||
        runningCalls(session.turn.answer).length > 0;
      if (waits) this.finishLater(session, answerID);
      else this.finishTurn(session.id);
    });
  }

  protected endAnswer(session: SimulatedSession, finish: string) {
    const answer = session.turn?.answer;
    if (answer === undefined) return undefined;
    session.turn = undefined;
    session.status = "busy";
    answer.finish = finish;
    answer.completedAt = this.options.clock.now();
    return answer;
  }

  protected emitAnswer(session: SimulatedSession, messageID: string): void {
    const message = session.messages.find((other) => other.id === messageID);
    if (message?.parentID === undefined) return;
    const { parentID, summary, completedAt, error } = message;
    const about = { sessionID: session.id, messageID, parentID };
    this.emit({ type: "assistant-message", ...about, summary, completedAt, error, usage: usageOf(message) });
  }

  protected rest(session: SimulatedSession, end: End): void {
    // Aborted, or deleted, in the meantime.
    if (session.status !== "busy" || session.turn !== undefined || !this.sessions.all.has(session.id)) return;
    session.status = "idle";
    session.asks.clear();
    const { id: sessionID } = session;
    this.jobEnded(session, end);
    this.emit({ type: "session-idle", sessionID });
    this.later(AFTER.sessionUpdated, () =>
      this.emit({ type: "session-seen", session: toInfo(session), created: false }),
    );
    // OpenCode publishes the user message once more when the turn is over.
    const last = session.messages.findLast((message) => message.role === "user");
    if (last !== undefined) {
      this.later(AFTER.republish, () =>
        this.emit({ type: "user-message", sessionID, messageID: last.id, voice: last.voice }),
      );
    }
  }

  /** The turn stops at once; its message is written down a moment later. */
  protected interrupt(session: SimulatedSession, error: TurnError): void {
    const { id: sessionID } = session;
    session.turn = undefined;
    session.status = "idle";
    session.asks.clear();
    this.emit({ type: "session-error", sessionID, error });
    this.emit({ type: "session-idle", sessionID });
  }

  /** A part of a tool call is written, and published. */
  protected writeCall(
    sessionID: string,
    message: SimulatedMessage,
    callID: string,
    call: Pick<SimulatedCall, "tool" | "output"> & { readonly state: "running" | "completed" | "error" },
  ): void {
    message.calls.set(callID, { type: "tool", callID, title: call.tool, input: "{}", ...call });
    this.emit({ type: "tool", sessionID, messageID: message.id, callID, ...call });
  }

  /** How a turn ended that was cut short: what it had said, its tools, its message, and its idle once more. */
  protected writeEnd(session: SimulatedSession, { answer, said }: SimulatedTurn): void {
    if (said !== undefined) this.writeText(session.id, answer, said);
    for (const [callID, { tool }] of runningCalls(answer)) {
      this.writeCall(session.id, answer, callID, { tool, state: "error", output: "Tool execution aborted" });
    }
    answer.completedAt ??= this.options.clock.now();
    this.emitAnswer(session, answer.id);
    this.emit({ type: "session-idle", sessionID: session.id });
  }

  protected writeText(sessionID: string, message: SimulatedMessage, text: string): void {
    message.parts.set("text", { text, synthetic: false, ignored: false });
    this.emit({ type: "assistant-text", sessionID, text });
  }

  protected abortNativeBelow(session: SimulatedSession): void {
    for (const child of this.sessions.children(session.id)) {
      if (child.job === undefined) continue;
      this.abortNativeBelow(child);
      this.abortTurn(child);
    }
  }

  /** Returns after how many milliseconds it is written how the turn ended. */
  protected abortTurn(session: SimulatedSession): number {
    const { turn, status } = session;
    session.aborts++;
    this.jobEnded(session, { kind: "aborted" });
    if (turn === undefined) return 0;
    // An abort in `retry` publishes no error, and leaves none in the message.
    if (status === "retrying") return this.abortQuietly(session, turn, undefined);
    const isEarly = this.options.clock.now() < turn.begunAt + MODEL_ANSWERS_MS;
    if (isEarly && turn.answer.calls.size === 0) return this.abortQuietly(session, turn, ABORTED);
    turn.answer.error = ABORTED;
    this.interrupt(session, ABORTED);
    const writtenAfterMs = runningCalls(turn.answer).length > 0 ? AFTER.toolGivenUp : AFTER.secondIdle;
    this.later(writtenAfterMs, () => this.writeEnd(session, turn));
    return writtenAfterMs;
  }

  /** Only the message tells that it was an abort: no error is published, and one idle. */
  private abortQuietly(session: SimulatedSession, turn: SimulatedTurn, error: TurnError | undefined): number {
    session.turn = undefined;
    session.status = "idle";
    session.asks.clear();
    turn.answer.completedAt = this.options.clock.now();
    if (error !== undefined) turn.answer.error = error;
    this.writeEnd(session, turn);
    return 0;
  }

  protected runJob(child: SimulatedSession, job: SimulatedJob): void {
    child.job = job;
    const isCurrent = () => child.job === job && this.sessions.all.has(child.id);
    this.later(AFTER.toolRunning, () => isCurrent() && this.emitTool(child, job, "running", ""));
    this.later(AFTER.childPrompt, () => {
      if (!isCurrent()) return;
      const part = { id: this.sessions.id("prt"), text: job.title, synthetic: false, ignored: false };
      this.store(child, { id: this.sessions.messageID(), parts: [part], voice: undefined });
    });
    if (job.background) this.later(AFTER.backgroundCompleted, () => isCurrent() && this.started(child));
    const busyAfter = job.background ? AFTER.backgroundCompleted + 1 : AFTER.childBusy;
    this.later(busyAfter, () => isCurrent() && this.wake(child));
  }

  protected started(child: SimulatedSession): void {
    if (child.job === undefined) return;
    child.job.started = true;
    const output = `<task id="${child.id}" state="running">\n<summary>Background task started</summary>\n</task>`;
    this.emitTool(child, child.job, "completed", output);
  }

  protected jobEnded(child: SimulatedSession, end: End): void {
    const { job } = child;
    if (job === undefined || child.parentID === undefined) return;
    child.job = undefined;
    const parent = this.sessions.get(child.parentID);
    if (parent === undefined) return;
    if (!job.background) return this.foregroundEnded(child, job, end);
    if (end.kind === "aborted" || this.hostTellsAfterMs === "never") return;
    this.later(this.hostTellsAfterMs, () => {
      if (!this.sessions.all.has(parent.id)) return;
      const text = backgroundReport(child, end);
      const told = { taskID: child.id, ended: end.kind, text: end.kind === "completed" ? end.text : end.message };
      const part = { id: this.sessions.id("prt"), text, synthetic: true, ignored: false };
      this.store(parent, { id: this.sessions.messageID(), parts: [part], voice: undefined }, () => told);
      this.wakeLater(parent, AFTER.wakesParent);
    });
  }

  protected foregroundEnded(child: SimulatedSession, job: SimulatedJob, end: End): void {
    this.later(AFTER.toolEnds, () => {
      switch (end.kind) {
        case "completed":
          return this.emitTool(child, job, "completed", foregroundResult(child, end.text));
        case "failed":
          return this.emitTool(child, job, "error", `Subagent failed (task_id: ${child.id}): ${end.message}`);
        case "aborted":
          return this.emitTool(child, job, "error", "Task cancelled");
      }
    });
  }

  protected emitTool(
    child: SimulatedSession,
    job: SimulatedJob,
    state: "running" | "completed" | "error",
    output: string,
  ): void {
    const { callID, messageID, background, title } = job;
    if (child.parentID === undefined) return;
    const about = { sessionID: child.id, background, title };
    const message = this.sessions.get(child.parentID)?.messages.find(({ id }) => id === messageID);
    const input = JSON.stringify({ description: title, background });
    message?.calls.set(callID, { type: "tool", callID, tool: TASK_TOOL, state, title, input, output });
    this.emit({
      type: "tool",
      sessionID: child.parentID,
      messageID,
      callID,
      tool: TASK_TOOL,
      state,
      output,
      child: about,
    });
  }

  protected forgetProcess(session: SimulatedSession): void {
    session.status = "idle";
    session.turn = undefined;
    session.job = undefined;
    session.asks.clear();
  }

  /** Ends the running turn with an answer. */
  finishTurn(sessionID: string, text = "done"): void {
    const session = this.sessions.must(sessionID);
    const answer = session.turn?.answer;
    if (answer === undefined) return;
    for (const [callID, { tool }] of runningCalls(answer)) {
      this.writeCall(sessionID, answer, callID, { tool, state: "completed", output: "" });
    }
    this.endAnswer(session, "stop");
    this.writeText(sessionID, answer, text);
    this.emitAnswer(session, answer.id);
    this.later(1, () => {
      this.emit({ type: "session-busy", sessionID });
      if (unansweredMessage(session) !== undefined) return this.beginTurn(session);
      this.later(1, () => this.rest(session, { kind: "completed", text }));
    });
  }

  /** A call of the Task tool is not completed yet, so that the turn cannot end. */
  isHeldByTask(sessionID: string): boolean {
    return this.sessions.children(sessionID).some(({ job }) => job !== undefined && !(job.background && job.started));
  }
}

/** Those of the Task tool end with their child. */
function runningCalls(message: SimulatedMessage): readonly (readonly [string, SimulatedCall])[] {
  return [...message.calls].filter(([, { tool, state }]) => state === "running" && tool !== TASK_TOOL);
}

function nameOf({ model }: Voice): string {
  return `${model.providerID}/${model.modelID}`;
}

/** An error of OpenCode's own is published twice, the second time as it stands in its log. */
export function withStack(error: TurnError): TurnError {
  return { ...error, message: `Error: ${error.message}\n    at <anonymous>` };
}

function backgroundReport(child: SimulatedSession, end: Exclude<End, { kind: "aborted" }>): string {
  return end.kind === "completed"
    ? `<task id="${child.id}" state="completed">\n<summary>Background task completed: ${child.title}</summary>\n<task_result>\n${end.text}\n</task_result>\n</task>`
    : `<task id="${child.id}" state="error">\n<summary>Background task failed: ${child.title}</summary>\n<task_error>\n${end.message}\n</task_error>\n</task>`;
}

function foregroundResult(child: SimulatedSession, text: string): string {
  return `<task id="${child.id}" state="completed">\n<task_result>\n${text}\n</task_result>\n</task>`;
}
