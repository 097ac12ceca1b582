import type { AgentLimits } from "../goals/agent-limits.ts";
import { closeAsks, closeUndo, receiveAsk } from "../goals/asks.ts";
import type { GoalEvent } from "../goals/goal.ts";
import {
  cutOff,
  endedByReload,
  expectMessage,
  goalSleeps,
  isUndecided,
  LATE_ABORT_WITHIN_MS,
  newRoot,
  quieten,
  type Root,
  receiveInRoot,
  release,
  startTurn,
  type Turn,
  type TurnBy,
} from "../goals/root.ts";
import { isTellingOverdue } from "../goals/run-hold.ts";
import { takenToolReason } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import { isNative } from "../tasks/lifecycle.ts";
import type { IsBefore } from "../tasks/message-order.ts";
import { OUR_ABORT_ERROR } from "../tasks/outcome.ts";
import { isLive, SILENCE_MS, type Task } from "../tasks/task.ts";
import type { RunConfig } from "./config.ts";

export interface SessionContext {
  readonly now: () => number;
  readonly tasks: () => readonly Task[];
  /** The order of its messages. */
  readonly isBefore: IsBefore;
  /** Set in `opencode run`. */
  readonly run: RunConfig | undefined;
  /** When anything was last heard of the session. */
  readonly lastSignAt: () => number;
  /** What happened in the session, as far as it means something for the goal. */
  readonly onGoalEvent: (event: GoalEvent) => void;
  /** The user has interrupted; the goal is told apart. */
  readonly onInterrupted: () => void;
  readonly askStatuses: () => void;
}

/** Up to 270 ms were seen on a quiet machine. */
const SECOND_IDLE_WITHIN_MS = 10_000;
/** How a turn ended, and the idle behind it, were 2 ms apart on a quiet machine. */
const OLD_IDLE_WITHIN_MS = 250;
/** OpenCode aborts the children of an idle root just before it. */
const ABORTED_WITHIN_MS = 250;
/** The two halves of one idle come closer together. */
const IDLE_PAIR_MS = 50;

/** The session of one root as the host shows it: what it does, whether anything may prompt it, and whose turn it is. */
export class RootSession {
  private root: Root;
  /** A failed turn has had the first of its two idles; 0 when nothing is expected. */
  private idleExpectedUntil = 0;
  /** A turn from before a reload has ended, and its idle is still to come; 0 when it is not expected. */
  private oldIdleUntil = 0;

  constructor(
    rootID: string,
    private readonly context: SessionContext,
  ) {
    this.root = newRoot(rootID, context.now());
  }

  get state(): Root {
    return this.root;
  }

  /** A host event anywhere in the tree of this root. */
  receive(event: HostEvent, inRoot: boolean): void {
    if (inRoot && this.isOfBefore(event)) return;
    const before = this.root;
    if (inRoot || !this.isSpare(event)) this.root = receiveAsk(before, event);
    // What the agent reports so, or reads, is not in these books: it would be continued until a limit ends it.
    if (event.type === "tool" && event.byOther)
      this.context.onGoalEvent({ type: "pause", by: "error", reason: takenToolReason(event.tool) });
    if (!inRoot) return;
    this.root = receiveInRoot(this.root, event, this.now, this.context.isBefore);
    this.receiveInRun(before, event);
    // A user who goes on writing has neither quit nor reloaded: the abort was his.
    if (before.presence.kind === "quieting" && this.root.presence.kind === "awake") this.interrupted();
    if (event.type === "ask-closed" && event.rejected) this.pause(`you rejected a ${event.kind}`);
    if (event.type === "session-seen" && event.session.archived) this.pause("the session was archived");
    const isSettling = this.root.activity.kind === "settling";
    if (before.activity.kind === "settling" && !isSettling) this.failed(before.turn);
    if (event.type !== "session-idle") return;
    if (before.activity.kind === "idle") this.idleAgain(before.activity.since);
    else if (before.activity.kind === "settling") this.idleExpectedUntil = 0;
    else if (isSettling && this.context.run === undefined) this.idleExpectedUntil = this.now + SECOND_IDLE_WITHIN_MS;
    else this.turnEnded();
  }

  /** Lets everything whose moment has come act. */
  clock(): void {
    const { presence } = this.root;
    if (isUndecided(presence) && presence.until <= this.now) {
      // No dispose has followed the abort: it was the user, not a quit or a reload.
      this.root = { ...this.root, presence: { kind: "quiet", since: this.now } };
      this.interrupted();
    }
    this.checkActivity();
  }

  /** Known before the host has stored the message, when a command puts it together. */
  userSpeaks(): void {
    this.wake();
    this.root = expectMessage(closeUndo(this.root, this.root.id), this.now);
  }

  agentJudged(agentLimits: AgentLimits): void {
    this.root = { ...this.root, agentLimits };
  }

  wake(): void {
    if (this.root.presence.kind === "quieting") this.interrupted();
    if (this.root.presence.kind !== "awake") this.root = { ...this.root, presence: { kind: "awake" } };
  }

  sleep(): void {
    this.root = { ...this.root, presence: { kind: "asleep", since: this.now } };
  }

  /** Nothing of ours prompts the session any more before the user has written, or wants it to go on. */
  quieten(): void {
    this.root = { ...this.root, presence: { kind: "quiet", since: this.now } };
  }

  /** We abort its turn: its idle may come twice, like that of any turn that fails. */
  cutOff(): void {
    this.idleExpectedUntil = this.now + SECOND_IDLE_WITHIN_MS;
    this.root = cutOff(this.root, this.now);
  }

  /** The host may go on with the turn. `isOver`: nothing is waited for any more; the next wait has a ceiling of its own. */
  release(isOver: boolean): void {
    const root = release(this.root, this.now);
    this.root = isOver ? { ...root, wait: undefined } : root;
  }

  /** A message of ours that names tasks as still running has reached the session. */
  told(): void {
    const { wait } = this.root;
    if (wait !== undefined && isTellingOverdue(this.root, this.now))
      this.root = { ...this.root, wait: { ...wait, overdueTold: true } };
  }

  /** A session of the tree has ended. */
  ended(sessionID: string): void {
    this.root = closeAsks(this.root, sessionID);
  }

  /** The turn of a message of ours begins, unless the user has spoken since: then it is his, and reads ours along. */
  beginTurn(messageID: string, by: TurnBy): void {
    if (this.context.isBefore(this.root.lastSpokenID, messageID)) this.root = startTurn(this.root, by, messageID);
  }

  private get now(): number {
    return this.context.now();
  }

  /** In a task that has ended the user may undo what he likes: nothing is to be said there. */
  private isSpare(event: HostEvent): boolean {
    if (event.type !== "session-seen" || !event.session.undone) return false;
    return !this.context.tasks().some((task) => task.id === event.session.id && isLive(task));
  }

  /** What is different where the end of a turn is the end of the process. */
  private receiveInRun(before: Root, event: HostEvent): void {
    const { run } = this.context;
    if (run === undefined) return;
    const { presence, activity, wait } = this.root;
    const slept = before.presence;
    // A prompt in a script wants its answer; the goal of an earlier day it has not asked for.
    if (goalSleeps(slept) && presence.kind === "awake")
      this.root = { ...this.root, presence: { kind: "goal-asleep", since: slept.since } };
    if (activity.kind === "held" && wait === undefined)
      this.root = { ...this.root, wait: { until: this.now + run.ceilingMs, overdueTold: false } };
    // A step in which a tool works was not the last one: a wait that has begun in it has not begun.
    const isFirst = before.activity.kind === "held" && before.wait?.until === before.activity.since + run.ceilingMs;
    if (event.type === "turn-goes-on" && isFirst) this.root = { ...this.root, wait: undefined };
    if (event.type === "step-ended" && activity.kind === "ending") this.turnEnded();
  }

  /** The idle of a turn that a reload has ended: it is not that of the turn which may be at work by now. */
  private isOfBefore(event: HostEvent): boolean {
    const mayBeLate = this.now < this.root.openedAt + LATE_ABORT_WITHIN_MS;
    if (mayBeLate && endedByReload(event)) this.oldIdleUntil = this.now + OLD_IDLE_WITHIN_MS;
    if (event.type !== "session-idle" || this.now > this.oldIdleUntil) return false;
    this.oldIdleUntil = 0;
    return true;
  }

  private pause(reason: string): void {
    this.context.onGoalEvent({ type: "pause", by: "user", reason });
  }

  private interrupted(): void {
    this.pause("you interrupted");
    this.context.onInterrupted();
  }

  /** A turn that has failed is over when it has settled: what it has failed of is complete only then. */
  private failed(turn: Turn | undefined): void {
    if (this.context.run !== undefined) return;
    if (this.root.turn === turn) this.root = { ...this.root, turn: undefined };
    this.tell(turn);
  }

  private turnEnded(): void {
    const { turn } = this.root;
    this.idleExpectedUntil = turn?.error === undefined ? 0 : this.now + SECOND_IDLE_WITHIN_MS;
    this.root = { ...this.root, turn: undefined };
    this.tell(turn);
  }

  private tell(turn: Turn | undefined): void {
    const { presence } = this.root;
    if (presence.kind === "quieting" || presence.kind === "quiet") return;
    // A busy and idle in which nothing happened, as after a prompt that the host did not take, ends no turn.
    if (turn === undefined || turn.error?.name === OUR_ABORT_ERROR) return;
    const { by, progressed, error } = turn;
    this.context.onGoalEvent({ type: "turn-ended", by, progressed, error });
  }

  /**
   * Aborting an idle root publishes only another idle, and nothing else does that. OpenCode has aborted its own children
   * just before; what we launched it does not touch.
   */
  private idleAgain(since: number): void {
    const { now } = this;
    // The second idle of a failed turn may be late.
    if (now < this.idleExpectedUntil) {
      this.idleExpectedUntil = 0;
      return;
    }
    const justAborted = this.context
      .tasks()
      .some(
        (task) =>
          isNative(task) &&
          task.status === "running" &&
          task.observed.kind === "aborted" &&
          task.observed.since >= now - ABORTED_WITHIN_MS,
      );
    const hasLaunched = this.context.tasks().some((task) => isLive(task) && task.origin === "launched");
    const isAbort = justAborted || (hasLaunched && now - since > IDLE_PAIR_MS);
    if (!isAbort || this.root.presence.kind !== "awake") return;
    this.root = quieten(this.root, now);
  }

  /** A busy or retrying that is never taken back must not hold a goal: after a silence the host is asked. */
  private checkActivity(): void {
    const { activity } = this.root;
    const { now } = this;
    if (activity.kind === "settling" && activity.until <= now) {
      this.root = { ...this.root, activity: { kind: "idle", since: now } };
      this.failed(this.root.turn);
    }
    if (activity.kind === "retrying" && activity.until <= now) {
      this.root = { ...this.root, activity: { kind: "busy", askAt: now + SILENCE_MS } };
    }
    if ((activity.kind !== "busy" && activity.kind !== "ending") || activity.askAt > now) return;
    const heardUntil = this.context.lastSignAt() + SILENCE_MS;
    this.root = { ...this.root, activity: { ...activity, askAt: heardUntil > now ? heardUntil : now + SILENCE_MS } };
    if (heardUntil <= now) this.context.askStatuses();
  }
}
