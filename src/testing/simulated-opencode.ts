import type { HostEvent, TurnError } from "../host/port.ts";
import { ABORTED, AFTER, TASK_TOOL } from "./simulated-engine.ts";
import { type SimulatedSession, tear, toInfo } from "./simulated-sessions.ts";
import type { ForeignCall } from "./simulated-task-tool.ts";
import { SimulatedTurns } from "./simulated-turns.ts";

/** What a plugin may hear of a turn that ended with the instance before it. */
export interface LateEnd {
  /** Published at once, if at all. */
  readonly abort: readonly HostEvent[];
  /** How it ended, and its idle; up to 700 ms later on a quiet machine. */
  readonly end: readonly HostEvent[];
}

/**
 * What OpenCode 1.18 does that a plugin can see: sessions, turns, the native Task tool, aborts, disposal, restarts.
 * Models do not exist here: turns end when the test (or `turnMs`) ends them. It owns no fault: see `SimulatedHost`.
 */
export class SimulatedOpencode extends SimulatedTurns {
  // Sessions

  createRoot(title = "root"): string {
    const session = this.sessions.create(undefined, title);
    this.emit({ type: "session-seen", session: toInfo(session), created: true });
    return session.id;
  }

  /** A child that another plugin makes, not the Task tool. It is idle until somebody prompts it. */
  addChild(parentID: string, title = "child"): string {
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

  /**
   * A person (or a client) writes. On a busy session the message is answered by a further step.
   *
   * @param messageID a client may choose it, in any form
   */
  userSays(sessionID: string, text: string, messageID?: string): string {
    return this.storeText(this.sessions.must(sessionID), text, false, messageID);
  }

  /** Ends the running turn with an error of the provider: the usual pair of idles comes twice. */
  failTurn(sessionID: string, error: TurnError = { name: "APIError", message: "scripted 500", statusCode: 500 }): void {
    const session = this.sessions.must(sessionID);
    const { turn } = session;
    if (turn === undefined) return;
    this.jobEnded(session, { kind: "failed", message: error.message });
    this.interrupt(session, error);
    const storing = { isWoken: false };
    session.storing = storing;
    this.later(session.parentID === undefined ? AFTER.secondIdle : this.storesFailureAfterMs, () => {
      session.storing = undefined;
      turn.answer.error = error;
      this.writeEnd(session, turn);
      if (storing.isWoken) this.wake(session);
    });
  }

  /** The model of the running turn has said this much. It is heard and written when the turn ends, however it ends. */
  says(sessionID: string, text: string): void {
    const { turn } = this.sessions.must(sessionID);
    if (turn !== undefined) turn.said = text;
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
    this.writeCall(sessionID, answer, this.sessions.id("call"), { tool, state, output: "" });
  }

  /** The running turn calls a tool of ours, and another plugin that has one of the same name answers. */
  callOfOther(sessionID: string, tool: string): void {
    const answer = this.sessions.must(sessionID).turn?.answer;
    if (answer === undefined) return;
    const call = { tool, state: "completed", output: "done" } as const;
    this.writeCall(sessionID, answer, this.sessions.id("call"), call, { byOther: true });
  }

  /** The running turn calls a tool, and does not end by itself before {@link endTool}. Returns the id of the call. */
  beginTool(sessionID: string, tool = "bash"): string {
    const answer = this.sessions.must(sessionID).turn?.answer;
    if (answer === undefined) throw new Error(`${sessionID} has no turn that could call a tool`);
    const callID = this.sessions.id("call");
    this.writeCall(sessionID, answer, callID, { tool, state: "running", output: "" });
    return callID;
  }

  endTool(sessionID: string, callID: string, state: "completed" | "error" = "completed", output = ""): void {
    const answer = this.sessions.must(sessionID).turn?.answer;
    const call = answer?.calls.get(callID);
    if (answer === undefined || call?.state !== "running") return;
    this.writeCall(sessionID, answer, callID, { tool: call.tool, state, output });
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

  /** The running turn of `parentID` calls a tool of another plugin that is named as OpenCode's own, and returns early. */
  callForeignTask(parentID: string, how: ForeignCall = {}): string {
    const parent = this.sessions.must(parentID);
    const messageID = parent.turn?.answer.id;
    if (messageID === undefined) throw new Error(`${parentID} has no turn that could call a tool`);
    const child = this.sessions.create(parentID, how.title ?? "helper");
    this.emit({ type: "session-seen", session: toInfo(child), created: true });
    this.runForeignCall(child, messageID, how);
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

  /**
   * Esc in the TUI, or `session.abort` of any client. Native children of the session are aborted with it, others are
   * not. An idle session publishes its idle once more, and no error.
   */
  userAborts(sessionID: string): void {
    this.abortSession(this.sessions.must(sessionID));
  }

  /**
   * `/undo` in an idle session: its last message, not counting those that are undone already, is marked with all that
   * has followed. The next message that is stored deletes them. The host refuses it in a session that works.
   *
   * @returns whether anything is undone
   */
  userUndoes(sessionID: string): boolean {
    const session = this.sessions.must(sessionID);
    const { messages, undoneFrom } = session;
    const end = undoneFrom === undefined ? messages.length : messages.findIndex(({ id }) => id === undoneFrom);
    const last = messages.slice(0, end).findLast(({ role }) => role === "user");
    if (session.status !== "idle" || last === undefined) return undoneFrom !== undefined;
    session.undoneFrom = last.id;
    this.emit({ type: "session-seen", session: toInfo(session), created: false });
    return true;
  }

  /** All that was undone is back. */
  userRedoes(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    if (session.status !== "idle" || session.undoneFrom === undefined) return;
    session.undoneFrom = undefined;
    this.emit({ type: "session-seen", session: toInfo(session), created: false });
  }

  /** Returns after how many milliseconds everything is written. */
  protected abortSession(session: SimulatedSession): number {
    this.abortNativeBelow(session);
    if (session.parentID !== undefined) return this.abortNow(session);
    this.later(AFTER.rootAborts, () => this.abortNow(session));
    return AFTER.rootAborts + AFTER.secondIdle;
  }

  private abortNow(session: SimulatedSession): number {
    const wasIdle = session.status === "idle";
    const writtenAfterMs = this.abortTurn(session);
    if (wasIdle) this.emit({ type: "session-idle", sessionID: session.id });
    return writtenAfterMs;
  }

  /**
   * Quit or reload: turns are aborted, children first, and the plugin is disposed in the middle of it.
   *
   * @returns the ends of the turns of roots: a plugin that is loaded at once may hear them, late
   */
  dispose(): readonly LateEnd[] {
    const late = [...this.sessions.all.values()].flatMap((session) => this.lateEnd(session) ?? []);
    for (const session of this.sessions.all.values()) if (session.parentID !== undefined) this.abortTurn(session);
    this.options.onDispose?.();
    this.muted = true;
    for (const session of this.sessions.all.values()) this.abortTurn(session);
    return late;
  }

  private lateEnd({ id: sessionID, parentID, turn, status }: SimulatedSession): LateEnd | undefined {
    if (parentID !== undefined || turn?.answer.parentID === undefined) return undefined;
    const { id: messageID, parentID: answered, summary } = turn.answer;
    const error = status === "retrying" ? undefined : ABORTED;
    const about = { sessionID, messageID, parentID: answered, summary, usage: undefined, fromBefore: true } as const;
    const idle = { type: "session-idle", sessionID } as const;
    const calls = this.sessions.children(sessionID).flatMap((child) => abortedCall(sessionID, child) ?? []);
    return {
      abort: error === undefined ? [] : [{ type: "session-error", sessionID, error }, idle],
      end: [...calls, { type: "assistant-message", ...about, completedAt: this.options.clock.now(), error }, idle],
    };
  }

  /**
   * `kill -9`: nothing is said, and what was not written is lost. Answers that are under way never come.
   *
   * @param tears whether a message that was stored just now loses its parts
   */
  kill(tears = false): void {
    this.generation++;
    this.muted = true;
    if (tears) for (const session of this.sessions.all.values()) tear(session, this.options.clock.now());
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

  isUndone(sessionID: string): boolean {
    return this.sessions.get(sessionID)?.undoneFrom !== undefined;
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
}

/** Of the Task tool, whose result its parent waits for. */
function abortedCall(sessionID: string, { id, job }: SimulatedSession): HostEvent | undefined {
  if (job === undefined || job.background) return undefined;
  const { messageID, callID, title, background } = job;
  const call = { sessionID, messageID, callID, tool: TASK_TOOL, output: "Tool execution aborted" } as const;
  return { type: "tool", ...call, state: "error", fromBefore: true, child: { sessionID: id, background, title } };
}
