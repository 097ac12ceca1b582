import type { TurnError, Voice } from "../host/port.ts";
import { ABORTED, AFTER, TASK_TOOL, UNKNOWN_ERROR, withStack } from "./simulated-engine.ts";
import {
  type SimulatedCall,
  type SimulatedMessage,
  type SimulatedSession,
  type SimulatedTurn,
  toInfo,
  unansweredMessage,
} from "./simulated-sessions.ts";
import { type End, SimulatedTaskTool } from "./simulated-task-tool.ts";

/** By then a turn has its first answer from the model. Aborted earlier it ends as if it had never quite begun. */
const MODEL_ANSWERS_MS = 15;

/** The run loop: how a turn begins, what it waits for, and all the ways in which it ends. */
export class SimulatedTurns extends SimulatedTaskTool {
  /** Models that the host does not have, as "provider/model". It finds out when a turn has begun. */
  readonly unknownModels = new Set<string>();
  /** When it is stored that the turn of a child has failed, and its second idle comes: with snapshots git may take its time. */
  storesFailureAfterMs: number = AFTER.secondIdle;

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

  /** The step ends and the turn goes on with the next one: OpenCode leaves no turn after a finish that it does not know. */
  stepTurn(sessionID: string, finish: "unknown" | "tool-calls" = "unknown"): void {
    const session = this.sessions.must(sessionID);
    const answer = this.endAnswer(session, finish);
    if (answer === undefined) return;
    this.emitAnswer(session, answer.id);
    const asked = unansweredMessage(session)?.id ?? answer.parentID;
    if (asked === undefined) return;
    const next = this.sessions.beginAnswer(session, asked);
    session.turn = { answer: next, begunAt: this.options.clock.now() };
    this.emitAnswer(session, next.id);
    this.finishLater(session, next.id);
  }

  protected storeText(
    session: SimulatedSession,
    text: string,
    synthetic: boolean,
    id: string = this.sessions.messageID(),
  ): string {
    const told = () => undefined;
    this.store(
      session,
      { id, parts: [{ id: this.sessions.id("prt"), text, synthetic, ignored: false }], voice: undefined },
      told,
    );
    this.wakeLater(session, AFTER.busy);
    return id;
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
    if (session.storing !== undefined) {
      session.storing.isWoken = true;
      return;
    }
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
}

/** Those of the Task tool end with their child. */
function runningCalls(message: SimulatedMessage): readonly (readonly [string, SimulatedCall])[] {
  return [...message.calls].filter(([, { tool, state }]) => state === "running" && tool !== TASK_TOOL);
}

function nameOf({ model }: Voice): string {
  return `${model.providerID}/${model.modelID}`;
}
