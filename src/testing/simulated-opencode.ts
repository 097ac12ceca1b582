import type { HostEvent, TurnError, Voice } from "../host/port.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import {
  type SimulatedJob,
  type SimulatedSession,
  SimulatedSessions,
  toInfo,
  unansweredMessage,
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
type End =
  | { readonly kind: "completed"; readonly text: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "aborted" };

const ABORTED: TurnError = { name: "MessageAbortedError", message: "Aborted" };
/** Milliseconds between the steps of a sequence, as measured on OpenCode 1.18.33 and rounded. */
const AFTER = {
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
  rootAborts: 10,
  republish: 30,
} as const;

/**
 * What OpenCode 1.18 does that a plugin can see: sessions, turns, the native Task tool, aborts, disposal, restarts.
 * Models do not exist here: turns end when the test (or `turnMs`) ends them. It owns no fault: see `SimulatedHost`.
 */
export class SimulatedOpencode {
  protected readonly sessions: SimulatedSessions;
  /** When the host reports an ended background task to its parent: after so many ms, or never. */
  hostTellsAfterMs: number | "never" = AFTER.hostTells;
  private generation = 0;
  private muted = false;

  constructor(protected readonly options: SimulatedHostOptions) {
    this.sessions = new SimulatedSessions(() => options.clock.now());
  }

  // Sessions

  createRoot(title = "root"): string {
    const session = this.sessions.create(undefined, title);
    this.emit({ type: "session-seen", session: toInfo(session), created: true });
    return session.id;
  }

  /** A child that a plugin makes, not the Task tool. It is idle until somebody prompts it. */
  createChild(parentID: string, title = "child"): string {
    const session = this.sessions.create(this.sessions.must(parentID).id, title);
    this.emit({ type: "session-seen", session: toInfo(session), created: true });
    return session.id;
  }

  /** A fork has no parent, copies of the messages under new ids, and a copy of the metadata. */
  fork(sessionID: string): string {
    const original = this.sessions.must(sessionID);
    const session = this.sessions.create(undefined, `${original.title} (fork #1)`);
    session.metadata = original.metadata;
    this.emit({ type: "session-seen", session: toInfo(session), created: true });
    for (const message of original.messages) {
      if (message.role === "assistant") continue;
      const parts = [...message.parts.values()].map((part) => ({ ...part, id: this.sessions.id("prt") }));
      this.sessions.storeUser(session, { id: this.sessions.messageID(), parts, voice: message.voice });
    }
    return session.id;
  }

  /** Children are deleted first. Those that the Task tool made are aborted, any other just vanishes. */
  deleteSession(sessionID: string): void {
    for (const session of [...this.sessions.below(sessionID), this.sessions.must(sessionID)]) {
      if (session.job !== undefined || session.id === sessionID) this.abortTurn(session);
      session.turn = undefined;
      this.sessions.all.delete(session.id);
      const { id, parentID } = session;
      this.emit({ type: "session-deleted", sessionID: id, ...(parentID === undefined ? {} : { parentID }) });
    }
  }

  // Turns

  /** A person (or a client) writes. On a busy session the message is answered by a further step. */
  userSays(sessionID: string, text: string): string {
    return this.storeText(this.sessions.must(sessionID), text, false);
  }

  /** Ends the running turn with an answer. */
  finishTurn(sessionID: string, text = "done"): void {
    const session = this.sessions.must(sessionID);
    const answer = this.endAnswer(session, "stop");
    if (answer === undefined) return;
    answer.parts.set("text", { text, synthetic: false, ignored: false });
    this.emit({ type: "assistant-text", sessionID, text });
    this.emitAnswer(session, answer.id);
    this.later(1, () => {
      this.emit({ type: "session-busy", sessionID });
      if (unansweredMessage(session) !== undefined) return this.beginTurn(session);
      this.later(1, () => this.rest(session, { kind: "completed", text }));
    });
  }

  /** Ends the running turn with an error of the provider: the usual pair of idles comes twice. */
  failTurn(sessionID: string, error: TurnError = { name: "APIError", message: "scripted 401", statusCode: 401 }): void {
    const session = this.sessions.must(sessionID);
    const { turn } = session;
    if (turn === undefined) return;
    this.jobEnded(session, { kind: "failed", message: error.message });
    this.interrupt(session, error);
    this.later(AFTER.secondIdle, () => {
      turn.answer.error = error;
      this.emitAnswer(session, turn.answer.id);
      this.emit({ type: "session-idle", sessionID });
    });
  }

  /** The provider is asked again in a while: the session shows `retry`, then `busy`. */
  retryTurn(sessionID: string, forMs: number): void {
    const session = this.sessions.must(sessionID);
    if (session.turn === undefined) return;
    const until = this.options.clock.now() + forMs;
    session.status = "retrying";
    this.emit({ type: "session-retrying", sessionID, until, message: "scripted 429" });
    this.later(forMs, () => {
      if (session.status !== "retrying") return;
      session.status = "busy";
      this.emit({ type: "session-busy", sessionID });
    });
  }

  /** A tool call of the running turn has ended. */
  toolCall(sessionID: string, tool = "bash", state: "completed" | "error" = "completed"): void {
    const answer = this.sessions.must(sessionID).turn?.answer;
    if (answer === undefined) return;
    this.emit({
      type: "tool",
      sessionID,
      messageID: answer.id,
      callID: this.sessions.id("call"),
      tool,
      state,
      output: "",
    });
  }

  /** An automatic compaction of an idle session, with the host's own message to go on. */
  compact(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    const { id: messageID } = this.sessions.storeUser(session, {
      id: this.sessions.messageID(),
      parts: [],
      compaction: true,
    });
    this.emit({ type: "user-message", sessionID, messageID, voice: undefined });
    this.emit({ type: "session-seen", session: toInfo(session), created: false });
    session.status = "busy";
    this.emit({ type: "session-busy", sessionID });
    this.later(5, () => {
      const summary = this.sessions.beginAnswer(session, messageID, true);
      summary.finish = "stop";
      summary.completedAt = this.options.clock.now();
      this.emitAnswer(session, summary.id);
      this.emit({ type: "session-compacted", sessionID });
      session.status = "idle";
      this.storeText(session, "Continue if you have next steps.", true);
    });
  }

  /** A compaction in the middle of a turn: the step ends, a summary is written, the host goes on by itself. */
  compactDuringTurn(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    const answer = this.endAnswer(session, "tool-calls");
    if (answer === undefined) return;
    this.emitAnswer(session, answer.id);
    session.status = "idle";
    this.compact(sessionID);
  }

  // Asks

  openAsk(sessionID: string, kind: "permission" | "question" = "question"): string {
    const askID = this.sessions.id(kind === "question" ? "que" : "per");
    this.sessions.must(sessionID).asks.set(askID, kind);
    this.emit({ type: "ask-opened", sessionID, askID, kind, about: "which?" });
    return askID;
  }

  /** A rejected ask ends the turn, without an error; an answered one lets it go on. */
  closeAsk(sessionID: string, askID: string, rejected = false): void {
    const session = this.sessions.must(sessionID);
    const kind = session.asks.get(askID);
    if (kind === undefined) return;
    session.asks.delete(askID);
    this.emit({ type: "ask-closed", sessionID, askID, kind, rejected });
    if (!rejected) return;
    const answer = this.endAnswer(session, "tool-calls");
    if (answer === undefined) return;
    this.emitAnswer(session, answer.id);
    this.later(2, () => this.rest(session, { kind: "failed", message: "The user rejected it" }));
  }

  // The native Task tool

  /** The running turn of `parentID` calls the Task tool. */
  startTask(
    parentID: string,
    { background = false, title = "task" }: { background?: boolean; title?: string } = {},
  ): string {
    const parent = this.sessions.must(parentID);
    const messageID = parent.turn?.answer.id;
    if (messageID === undefined) throw new Error(`${parentID} has no turn that could call the Task tool`);
    const child = this.sessions.create(parentID, title);
    this.emit({ type: "session-seen", session: toInfo(child), created: true });
    this.runJob(child, { callID: this.sessions.id("call"), messageID, title, background, started: false });
    return child.id;
  }

  /** The Task tool is called with the `task_id` of a finished child. */
  resumeTask(childID: string, { background = false }: { background?: boolean } = {}): void {
    const child = this.sessions.must(childID);
    const messageID = this.sessions.must(child.parentID ?? "").turn?.answer.id;
    if (messageID === undefined) throw new Error(`the parent of ${childID} has no turn that could call the Task tool`);
    this.runJob(child, { callID: this.sessions.id("call"), messageID, title: child.title, background, started: false });
  }

  /** A foreground task is sent to the background: its tool call completes, the parent goes on. */
  promoteTask(childID: string): void {
    const child = this.sessions.must(childID);
    if (child.job === undefined || child.job.background) return;
    child.job.background = true;
    this.emitTool(child, child.job, "running", "");
    this.later(AFTER.toolEnds, () => this.started(child));
  }

  // What people do to the process

  /** Esc in the TUI, or `session.abort`. Native children of the session are aborted with it, others are not. */
  abort(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    this.abortNativeBelow(session);
    if (session.parentID !== undefined) return this.abortTurn(session);
    this.later(AFTER.rootAborts, () => {
      if (session.status === "idle") this.emit({ type: "session-idle", sessionID });
      else this.abortTurn(session);
    });
  }

  /** Quit or reload: turns are aborted, children first, and the plugin is disposed in the middle of it. */
  dispose(): void {
    for (const session of this.sessions.all.values()) if (session.parentID !== undefined) this.abortTurn(session);
    this.options.onDispose?.();
    this.muted = true;
    for (const session of this.sessions.all.values()) this.abortTurn(session);
  }

  /** `kill -9`: nothing is said, and what was not written is lost. Answers that are under way never come. */
  kill(): void {
    this.generation++;
    this.muted = true;
    for (const session of this.sessions.all.values()) this.forgetProcess(session);
  }

  /** A new process (or a reloaded plugin) on the same database. Nothing is published by itself. */
  start(): void {
    this.generation++;
    this.muted = false;
    for (const session of this.sessions.all.values()) this.forgetProcess(session);
  }

  // Reading, for assertions

  isWorking(sessionID: string): boolean {
    const session = this.sessions.get(sessionID);
    return session !== undefined && session.status !== "idle";
  }

  exists(sessionID: string): boolean {
    return this.sessions.get(sessionID) !== undefined;
  }

  /** Working, or about to: the Task tool has made it and its turn has not begun yet. */
  isActive(sessionID: string): boolean {
    return this.isWorking(sessionID) || this.sessions.get(sessionID)?.job !== undefined;
  }

  /** Whether a turn runs that `finishTurn` and `failTurn` can end. */
  hasTurn(sessionID: string): boolean {
    return this.sessions.get(sessionID)?.turn !== undefined;
  }

  isForeground(sessionID: string): boolean {
    return this.sessions.get(sessionID)?.job?.background === false;
  }

  /** A call of the Task tool is not completed yet, so that the turn cannot end. */
  isHeldByTask(sessionID: string): boolean {
    return this.sessions.children(sessionID).some(({ job }) => job !== undefined && !(job.background && job.started));
  }

  parentHasTurn(sessionID: string): boolean {
    return this.hasTurn(this.sessions.get(sessionID)?.parentID ?? "");
  }

  isRoot(sessionID: string): boolean {
    return this.sessions.get(sessionID)?.parentID === undefined;
  }

  rootOf(sessionID: string): string {
    return this.ancestors(sessionID).at(-1) ?? sessionID;
  }

  /** From the parent up to the root. */
  ancestors(sessionID: string): readonly string[] {
    const parentID = this.sessions.get(sessionID)?.parentID;
    return parentID === undefined ? [] : [parentID, ...this.ancestors(parentID)];
  }

  rootIDs(): readonly string[] {
    return [...this.sessions.all.values()].filter(({ parentID }) => parentID === undefined).map(({ id }) => id);
  }

  /** Ids of all sessions below one. */
  below(sessionID: string): readonly string[] {
    return this.sessions.below(sessionID).map(({ id }) => id);
  }

  openAsks(sessionID: string): readonly string[] {
    return [...(this.sessions.get(sessionID)?.asks.keys() ?? [])];
  }

  /** The messages of a session as the database holds them. */
  messages(sessionID: string) {
    return this.sessions.must(sessionID).messages;
  }

  metadata(sessionID: string): Readonly<Record<string, unknown>> {
    return this.sessions.must(sessionID).metadata;
  }

  // Inside

  protected get epoch(): number {
    return this.generation;
  }

  protected emit(event: HostEvent): void {
    const sessionID = event.type === "session-seen" ? event.session.id : event.sessionID;
    const isGone = event.type !== "session-deleted" && this.sessions.get(sessionID) === undefined;
    if (!this.muted && !isGone) this.options.onEvent(event);
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
    if (session.status === "idle") this.later(ms, () => this.wake(session));
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

  private beginTurn(session: SimulatedSession): void {
    const message = unansweredMessage(session);
    if (message === undefined || !this.sessions.all.has(session.id)) return;
    session.status = "busy";
    const answer = this.sessions.beginAnswer(session, message.id);
    session.turn = { answer };
    this.emit({ type: "session-busy", sessionID: session.id });
    this.emitAnswer(session, answer.id);
    this.finishLater(session, answer.id);
  }

  /** A turn that waits for a foreground child, an ask or the provider is not over. */
  private finishLater(session: SimulatedSession, answerID: string): void {
    const ms = this.options.turnMs?.(session.id);
    if (ms === undefined) return;
    this.later(ms, () => {
      if (session.turn?.answer.id !== answerID) return;
      const waits = session.asks.size > 0 || session.status === "retrying" || this.isHeldByTask(session.id);
      if (waits) this.finishLater(session, answerID);
      else this.finishTurn(session.id);
    });
  }

  private endAnswer(session: SimulatedSession, finish: string) {
    const answer = session.turn?.answer;
    if (answer === undefined) return undefined;
    session.turn = undefined;
    session.status = "busy";
    answer.finish = finish;
    answer.completedAt = this.options.clock.now();
    return answer;
  }

  private emitAnswer(session: SimulatedSession, messageID: string): void {
    const message = session.messages.find((other) => other.id === messageID);
    if (message?.parentID === undefined) return;
    const { parentID, summary, completedAt, error } = message;
    const about = { sessionID: session.id, messageID, parentID };
    this.emit({ type: "assistant-message", ...about, summary, completedAt, error });
  }

  private rest(session: SimulatedSession, end: End): void {
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
  private interrupt(session: SimulatedSession, error: TurnError): void {
    const { id: sessionID, turn } = session;
    session.turn = undefined;
    session.status = "idle";
    session.asks.clear();
    if (turn !== undefined) turn.answer.completedAt = this.options.clock.now();
    this.emit({ type: "session-error", sessionID, error });
    this.emit({ type: "session-idle", sessionID });
  }

  private abortNativeBelow(session: SimulatedSession): void {
    for (const child of this.sessions.children(session.id)) {
      if (child.job === undefined) continue;
      this.abortNativeBelow(child);
      this.abortTurn(child);
    }
  }

  private abortTurn(session: SimulatedSession): void {
    const { id: sessionID, turn } = session;
    this.jobEnded(session, { kind: "aborted" });
    if (turn === undefined) return;
    if (session.status === "retrying") {
      // An abort in `retry` publishes no error, and leaves none in the message.
      session.turn = undefined;
      session.status = "idle";
      session.asks.clear();
      turn.answer.completedAt = this.options.clock.now();
      this.emitAnswer(session, turn.answer.id);
      this.emit({ type: "session-idle", sessionID });
      return;
    }
    turn.answer.error = ABORTED;
    this.interrupt(session, ABORTED);
    this.later(AFTER.secondIdle, () => {
      this.emitAnswer(session, turn.answer.id);
      this.emit({ type: "session-idle", sessionID });
    });
  }

  private runJob(child: SimulatedSession, job: SimulatedJob): void {
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

  private started(child: SimulatedSession): void {
    if (child.job === undefined) return;
    child.job.started = true;
    const output = `<task id="${child.id}" state="running">\n<summary>Background task started</summary>\n</task>`;
    this.emitTool(child, child.job, "completed", output);
  }

  private jobEnded(child: SimulatedSession, end: End): void {
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

  private foregroundEnded(child: SimulatedSession, job: SimulatedJob, end: End): void {
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

  private emitTool(
    child: SimulatedSession,
    job: SimulatedJob,
    state: "running" | "completed" | "error",
    output: string,
  ): void {
    const { callID, messageID, background, title } = job;
    if (child.parentID === undefined) return;
    const about = { sessionID: child.id, background, title };
    this.emit({
      type: "tool",
      sessionID: child.parentID,
      messageID,
      callID,
      tool: "task",
      state,
      output,
      child: about,
    });
  }

  private forgetProcess(session: SimulatedSession): void {
    session.status = "idle";
    session.turn = undefined;
    session.job = undefined;
    session.asks.clear();
  }
}

function backgroundReport(child: SimulatedSession, end: Exclude<End, { kind: "aborted" }>): string {
  return end.kind === "completed"
    ? `<task id="${child.id}" state="completed">\n<summary>Background task completed: ${child.title}</summary>\n<task_result>\n${end.text}\n</task_result>\n</task>`
    : `<task id="${child.id}" state="error">\n<summary>Background task failed: ${child.title}</summary>\n<task_error>\n${end.message}\n</task_error>\n</task>`;
}

function foregroundResult(child: SimulatedSession, text: string): string {
  return `<task id="${child.id}" state="completed">\n<task_result>\n${text}\n</task_result>\n</task>`;
}
