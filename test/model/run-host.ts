import type { TurnError } from "../../src/host/port.ts";
import type { RunHold } from "../../src/host/run-hold.ts";
import type { SimulatedHostOptions } from "../../src/testing/simulated-engine.ts";
import {
  type SimulatedMessage,
  type SimulatedSession,
  type SimulatedTurn,
  unansweredMessage,
} from "../../src/testing/simulated-sessions.ts";
import type { ForeignCall } from "../../src/testing/simulated-task-tool.ts";
import { ModelHost } from "./model-host.ts";

type Hooks = Pick<RunHold, "receive" | "textCompleted" | "toolBegins" | "requestBegins">;

export interface RunHostOptions extends SimulatedHostOptions {
  /** What waits in the hooks of a turn; another one in each process. */
  readonly hooks: () => Hooks;
  /** The root is idle, or its turn has failed: the process exits. */
  readonly onIdle: () => void;
}

/** Between the end of the last step and the exit check, as measured; a message that is stored by then is answered. */
const EXIT_CHECK_MS = 12;
const NEXT_STEP_MS = 2;

/**
 * `opencode run`: one process, one root, one turn. The turn waits in the hooks of OpenCode before its last step is
 * complete and before each request, goes on while the newest user message is not the one that the last answer
 * answers, and takes the process with it when it ends.
 */
export class RunHost extends ModelHost {
  /** Turns that have called a tool: their step is not the last one. */
  private readonly worked = new WeakSet<SimulatedTurn>();
  private readonly finishing = new WeakSet<SimulatedTurn>();
  private readonly requests = new WeakMap<SimulatedTurn, Promise<void>>();
  private readonly endings = new WeakSet<SimulatedTurn>();

  constructor(private readonly run: RunHostOptions) {
    super({
      ...run,
      onEvent: (event) => {
        run.onEvent(event);
        if (event.type === "session-idle" && this.isRoot(event.sessionID)) run.onIdle();
      },
    });
  }

  /** Since when the turn waits in one of the hooks. */
  heldSince: number | undefined;

  override isEnding(sessionID: string): boolean {
    const turn = this.sessions.get(sessionID)?.turn;
    return turn !== undefined && this.endings.has(turn);
  }

  /** Whether the last step ended without a text: nothing has held it. */
  endedSilently = false;

  /** In a step that is complete nothing happens any more. */
  override hasTurn(sessionID: string): boolean {
    return super.hasTurn(sessionID) && !this.isEnding(sessionID);
  }

  /** Whether a tool has been called in the step of this turn. */
  hasWorked(sessionID: string): boolean {
    const turn = this.sessions.get(sessionID)?.turn;
    return turn !== undefined && this.worked.has(turn);
  }

  /** Text comes before a tool call: nobody knows yet that the step is not the last one. */
  speaks(sessionID: string): void {
    const turn = this.sessions.must(sessionID).turn;
    if (turn === undefined || this.finishing.has(turn)) return;
    void this.run.hooks().textCompleted(sessionID, turn.answer.id);
  }

  override retryTurn(sessionID: string, forMs: number): void {
    const turn = this.sessions.must(sessionID).turn;
    if (turn !== undefined && !this.finishing.has(turn)) super.retryTurn(sessionID, forMs);
  }

  /** A turn whose last text is complete asks nothing any more. */
  override openAsk(sessionID: string, kind?: "permission" | "question"): string {
    const turn = this.sessions.must(sessionID).turn;
    return turn !== undefined && this.finishing.has(turn) ? "" : super.openAsk(sessionID, kind);
  }

  override failTurn(sessionID: string, error?: TurnError): void {
    if (this.hasTurn(sessionID)) super.failTurn(sessionID, error);
  }

  override compactDuringTurn(sessionID: string): void {
    if (this.hasTurn(sessionID)) super.compactDuringTurn(sessionID);
  }

  override beginTool(sessionID: string, tool?: string): string {
    this.works(sessionID);
    return super.beginTool(sessionID, tool);
  }

  override toolCall(sessionID: string, tool?: string, state?: "completed" | "error"): void {
    if (!this.hasTurn(sessionID)) return;
    this.works(sessionID);
    super.toolCall(sessionID, tool, state);
  }

  override startTask(parentID: string, options?: { background?: boolean; title?: string }): string {
    this.works(parentID);
    return super.startTask(parentID, options);
  }

  override callForeignTask(parentID: string, how?: ForeignCall): string {
    this.works(parentID);
    return super.callForeignTask(parentID, how);
  }

  override resumeTask(childID: string, options?: { background?: boolean }): void {
    this.works(this.sessions.must(childID).parentID ?? "");
    super.resumeTask(childID, options);
  }

  override finishTurn(sessionID: string, text = "done"): void {
    const session = this.sessions.must(sessionID);
    const { turn } = session;
    if (!this.isRoot(sessionID) || turn === undefined) return super.finishTurn(sessionID, text);
    // A tool that asks something has not returned.
    if (this.finishing.has(turn) || session.asks.size > 0) return;
    this.finishing.add(turn);
    void this.finish(session, turn, text);
  }

  /** The next step begins with a request of its own. */
  override stepTurn(sessionID: string, finish?: "unknown" | "tool-calls"): void {
    const session = this.sessions.must(sessionID);
    const { turn } = session;
    if (!this.isRoot(sessionID) || turn === undefined) super.stepTurn(sessionID, finish);
    else void this.step(session, turn, finish);
  }

  protected override beginTurn(session: SimulatedSession): void {
    super.beginTurn(session);
    this.request(session);
  }

  private request(session: SimulatedSession): void {
    const { turn } = session;
    if (!this.isRoot(session.id) || turn === undefined) return;
    const messages = session.messages
      .filter((message) => message !== turn.answer)
      .map((message) => asRaw(session, message));
    this.requests.set(turn, this.run.hooks().requestBegins(messages));
  }

  protected override emitAnswer(session: SimulatedSession, messageID: string): void {
    super.emitAnswer(session, messageID);
    const message = session.messages.find(({ id }) => id === messageID);
    if (message !== undefined) this.raw("message.updated", { info: asRaw(session, message).info });
  }

  private raw(type: string, properties: object): void {
    if (!this.muted) this.run.hooks().receive({ type, properties });
  }

  private works(sessionID: string): void {
    const turn = this.sessions.get(sessionID)?.turn;
    if (turn === undefined || !this.isRoot(sessionID)) return;
    this.worked.add(turn);
    this.run.hooks().toolBegins(sessionID);
  }

  private async step(session: SimulatedSession, turn: SimulatedTurn, finish: "unknown" | "tool-calls" = "unknown") {
    const { epoch } = this;
    await this.requests.get(turn);
    if (session.turn !== turn || this.epoch !== epoch || this.finishing.has(turn)) return;
    this.stepFinished(session, turn, finish);
    super.stepTurn(session.id, finish);
    this.request(session);
  }

  private async finish(session: SimulatedSession, turn: SimulatedTurn, text: string): Promise<void> {
    const { epoch } = this;
    const isOver = () => session.turn !== turn || this.epoch !== epoch;
    await this.held(this.requests.get(turn));
    if (isOver()) return;
    if (this.worked.has(turn)) return this.nextStep(session, turn, text);
    // A step without a text is not held here.
    if (text !== "") await this.held(this.run.hooks().textCompleted(session.id, turn.answer.id));
    if (isOver()) return;
    if (this.worked.has(turn)) return this.nextStep(session, turn, text);
    this.writeText(session.id, turn.answer, text);
    this.endings.add(turn);
    this.endedSilently = text === "";
    this.stepFinished(session, turn, "stop");
    this.later(EXIT_CHECK_MS, () => isOver() || this.exitCheck(session, turn, text));
  }

  private async held(hook: Promise<void> | undefined): Promise<void> {
    this.heldSince = this.run.clock.now();
    await hook;
    this.heldSince = undefined;
  }

  private stepFinished({ id: sessionID }: SimulatedSession, { answer }: SimulatedTurn, reason: string): void {
    const part = { type: "step-finish", sessionID, messageID: answer.id, reason };
    this.raw("message.part.updated", { part });
  }

  private exitCheck(session: SimulatedSession, { answer }: SimulatedTurn, text: string): void {
    this.endAnswer(session, "stop");
    this.emitAnswer(session, answer.id);
    this.emit({ type: "session-busy", sessionID: session.id });
    if (unansweredMessage(session) !== undefined) return this.beginTurn(session);
    this.later(1, () => this.rest(session, { kind: "completed", text }));
  }

  /** After a step with tool calls comes another one, which reads what was stored meanwhile. */
  private nextStep(session: SimulatedSession, turn: SimulatedTurn, text: string): void {
    const { id: sessionID } = session;
    // Its tools have to return first. A part of the Task tool may say for ever that it runs, of a child that is deleted.
    const isOwn = (tool: string) => tool !== "task";
    const runs = [...turn.answer.calls.values()].some(({ tool, state }) => state === "running" && isOwn(tool));
    if (runs || this.isHeldByTask(sessionID)) {
      this.finishing.delete(turn);
      return;
    }
    this.stepFinished(session, turn, "tool-calls");
    const answer = this.endAnswer(session, "tool-calls");
    if (answer === undefined) return;
    this.emitAnswer(session, answer.id);
    this.later(NEXT_STEP_MS, () => {
      if (session.status !== "busy" || session.turn !== undefined || !this.exists(sessionID)) return;
      this.beginTurn(session);
      this.finishTurn(sessionID, text);
    });
  }
}

/** A message as OpenCode shows it to a plugin. */
function asRaw({ id: sessionID }: SimulatedSession, message: SimulatedMessage) {
  const { id, role, parentID, summary, parts } = message;
  const info = { id, role, sessionID, ...(parentID === undefined ? {} : { parentID }), summary };
  return { info, parts: [...parts.values()] };
}
