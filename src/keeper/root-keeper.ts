import { excerpt } from "../delivery/frame.ts";
import type { Found, OutboxEvent } from "../delivery/outbox.ts";
import type { AgentLimits } from "../goals/agent-limits.ts";
import { type Decision, decide, decisionDeadline } from "../goals/gate.ts";
import { type Goal, type GoalEvent, goalDeadline } from "../goals/goal.ts";
import { isUndecided, type Root, rootDeadline, USER_MESSAGE_HOLDS_MS } from "../goals/root.ts";
import type { Decided } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import type { MessageOrder } from "../tasks/message-order.ts";
import { isLive, isOursToTell, type Task } from "../tasks/task.ts";
import { interruptAnnouncement } from "./announcement.ts";
import type { KeeperConfig } from "./config.ts";
import type { Effect, Observation, Saved } from "./messages.ts";
import { isBeginOfStep, RootBudget } from "./root-budget.ts";
import { type GoalChange, RootGoal } from "./root-goal.ts";
import { RootMessages } from "./root-messages.ts";
import { RootSession } from "./root-session.ts";
import { RootStorage, UNHURRIED_MS } from "./root-storage.ts";
import { RootWriter } from "./root-writer.ts";
import { RunTurn } from "./run-turn.ts";
import type { Owner, StoredRoot } from "./stored-root.ts";
import type { TaskDesk } from "./task-desk.ts";

/** What the books of one root need from the keeper around them. */
export interface RootContext {
  readonly now: () => number;
  readonly config: KeeperConfig;
  readonly owner: Owner;
  readonly manager: BackgroundTaskManager;
  readonly desk: Pick<TaskDesk, "endLaunched" | "interrupt" | "written">;
  readonly ids: { message(after: string): string; part(): string };
  readonly order: MessageOrder;
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
  /** Asks the host for its statuses, once for everybody who wants them. */
  readonly askStatuses: () => void;
  readonly nextRevision: () => number;
}

/** Changes of a goal that a crash takes nothing away from: the transcript shows them, or they come again. */
const UNHURRIED: ReadonlySet<string> = new Set(["continued", "turn-ended", "wrapped-up"] satisfies GoalEvent["type"][]);

/** Several sessions may have one that sleeps, and a toast has a few short lines. */
const TOLD_LENGTH = 80;

interface Evaluated {
  readonly goal: Goal | undefined;
  readonly root: Root;
  readonly tasks: readonly Task[];
}

/** The books of one root session: its goal, its outbox, and whether they are stored. Its tasks are the manager's. */
export class RootKeeper {
  private readonly session: RootSession;
  private readonly pursuit: RootGoal;
  private readonly messages: RootMessages;
  private readonly runTurn: RunTurn | undefined;
  private readonly storage = new RootStorage();
  private readonly writer: RootWriter;
  private readonly budget: RootBudget;
  private nextDeadline = Number.POSITIVE_INFINITY;
  /** A message is in the session, and its text and its turn are still to be heard: books that are closed miss them. */
  private turnExpectedUntil = 0;
  /** What was evaluated last; undefined when something beside it has changed since. */
  private evaluated: Evaluated | undefined;

  constructor(
    rootID: string,
    private readonly context: RootContext,
  ) {
    this.session = new RootSession(rootID, {
      now: context.now,
      tasks: () => this.tasks,
      isBefore: (one, other) => context.order.isBefore(rootID, one, other),
      run: context.config.run,
      lastSignAt: () => context.manager.signs.lastAt(rootID),
      onGoalEvent: (event) => this.goalEvent(event),
      onInterrupted: () => this.interruptTasks(),
      askStatuses: context.askStatuses,
    });
    this.pursuit = new RootGoal({
      rootID,
      now: context.now,
      config: context.config,
      ids: context.ids,
      order: context.order,
      onChange: (goal, event) => this.goalChanged(goal, event),
      perform: context.perform,
      observe: context.observe,
    });
    this.messages = new RootMessages({
      rootID,
      now: context.now,
      config: context.config,
      manager: context.manager,
      ids: context.ids,
      order: context.order,
      session: this.session,
      goal: () => this.goal,
      decision: () => this.decision,
      tasks: () => this.tasks,
      waitsFor: () => this.runTurn?.waitsFor ?? [],
      storedID: () => this.storage.reservedID,
      onOtherMessage: () => this.otherMessage(),
      onChange: () => this.changed(),
      onGoalEvent: (event) => this.goalEvent(event),
      perform: context.perform,
      observe: context.observe,
    });
    const { owner, now, nextRevision, perform } = context;
    this.writer = new RootWriter({ rootID, owner, storage: this.storage, now, nextRevision, perform });
    this.budget = new RootBudget({
      rootID,
      now,
      config: context.config,
      desk: context.desk,
      session: this.session,
      goal: () => this.goal,
      tasks: () => this.tasks,
      onGoalEvent: (event) => this.goalEvent(event),
      onChange: () => this.changed(),
      perform,
    });
    const { run, gate } = context.config;
    if (run === undefined) return;
    this.runTurn = new RunTurn({
      rootID,
      run,
      now: context.now,
      session: this.session,
      isBefore: (one, other) => context.order.isBefore(rootID, one, other),
      tasks: () => this.tasks,
      addressed: () => this.addressed,
      decide: (root) => decide(this.goal, root, this.tasks, this.now, gate),
      isUnderWay: () => this.messages.isUnderWay,
      canTell: () => this.messages.maySpeak && this.storage.failures < context.config.limits.maxPromptFailures,
      isPrepared: () => this.isPrepared(),
      perform: context.perform,
      observe: context.observe,
    });
  }

  get id(): string {
    return this.state.id;
  }

  get state(): Root {
    return this.session.state;
  }

  get goal(): Goal | undefined {
    return this.pursuit.value;
  }

  get claimed(): number {
    return this.writer.claimed;
  }

  /** Whether a message of ours is on its way. */
  get isSending(): boolean {
    return this.messages.isSending;
  }

  maySend(messageID: string): boolean {
    return this.messages.maySendNow(messageID);
  }

  /** Nothing is left to be written. */
  get isStored(): boolean {
    return this.storage.isSettled;
  }

  /** The earliest moment at which {@link clock} has something to do. */
  get deadline(): number {
    return this.nextDeadline;
  }

  get tasks(): readonly Task[] {
    return this.context.manager.of(this.id);
  }

  /** The tasks that the root itself is told about: nobody nearer to them is left. */
  get addressed(): readonly Task[] {
    return this.messages.addressed;
  }

  get decision(): Decision {
    return this.pursuit.decide(this.state, this.tasks);
  }

  /** What was decided about the goal, the newest last. */
  get decisions(): readonly Decided[] {
    return this.pursuit.decisions;
  }

  /** Nothing is left to keep: no goal, no task, no message, its turn is over, and no message of the user's comes. */
  get isForgettable(): boolean {
    const { activity, presence } = this.state;
    const rests = activity.kind === "idle" && !isUndecided(presence);
    return !this.isInUse && rests && this.userHoldsUntil <= this.now;
  }

  verified(sessionID: string, found: Found): void {
    this.messages.verified(sessionID, found);
  }

  /** A host event anywhere in the tree of this root. */
  receive(event: HostEvent, inRoot: boolean): void {
    if (inRoot && event.type === "user-message") this.turnExpectedUntil = this.now + USER_MESSAGE_HOLDS_MS;
    if (inRoot && event.type === "session-busy") this.turnExpectedUntil = 0;
    this.session.receive(event, inRoot);
    if (event.type === "assistant-message") this.pursuit.count(event, inRoot);
    if (isBeginOfStep(event)) this.budget.check();
    if (event.type === "user-message") this.messages.heard(event.sessionID, event.messageID);
    if (event.type === "assistant-message" && !event.summary)
      this.messages.answerBegan(event.sessionID, event.parentID);
    // What was used in a turn is written when it is over, whatever comes of it.
    if (inRoot && event.type === "session-idle" && !this.writer.hasGoal(this.goal)) this.markDirty(UNHURRIED_MS);
    if (!inRoot || this.context.config.run === undefined) return;
    // Whatever this turn starts dies with the process, whoever makes it.
    if (event.type === "session-busy") this.context.manager.watch(this.id);
    // The message that keeps a turn going cannot wait for a write: its id has to be stored ahead.
    if (event.type === "user-message") this.markDirty();
  }

  /** Lets everything of this root whose moment has come act. */
  clock(): void {
    this.session.clock();
    this.messages.clock();
    this.budget.check();
  }

  userSpeaks(): void {
    this.session.userSpeaks();
  }

  agentJudged(limits: AgentLimits): void {
    this.session.agentJudged(limits);
  }

  wake(): void {
    this.session.wake();
  }

  /** Whether the present run of a task stands in the store. */
  hasWritten(task: Task): boolean {
    return this.writer.has(task);
  }

  /** A task has ended. */
  sessionEnded(sessionID: string): void {
    this.session.ended(sessionID);
    this.messages.taskEnded(sessionID);
  }

  /** Something durable has changed, and is written after `delayMs` at the latest. */
  markDirty(delayMs = 0): void {
    this.changed();
    this.storage.changed(this.now + delayMs);
  }

  /** Somebody else has dropped or replaced what was stored. */
  damaged(): void {
    this.changed();
    this.storage.damaged(this.now);
  }

  goalEvent(event: GoalEvent): void {
    this.pursuit.event(event);
  }

  /** Something about the message that is on its way into a session. */
  outboxEvent(sessionID: string, event: OutboxEvent): void {
    this.messages.event(sessionID, event);
  }

  /** Takes a stored root back. Its tasks are in the manager already. */
  restore(stored: StoredRoot, awake: boolean): void {
    this.pursuit.set(stored.goal, "restored");
    this.writer.takeOver(stored);
    this.messages.restore(stored);
    if (awake) return;
    this.session.sleep();
    if (stored.goal?.status !== "active") return;
    const resume = `/${this.context.config.command} resume`;
    const message = `A goal sleeps: ${excerpt(stored.goal.objective, TOLD_LENGTH)}. Write in its session, or say ${resume} there, to go on.`;
    this.context.perform({ type: "toast", rootID: this.id, variant: "info", message });
  }

  saved(revision: number, result: Exclude<Saved, { kind: "gone" }>): void {
    const ended = this.writer.written(revision, result);
    if (ended === undefined) return;
    this.changed();
    if (result.kind !== "failed") this.context.desk.written();
    switch (result.kind) {
      case "ok":
        return;
      case "failed":
        return this.saveFailed(ended.failures, result.reason);
      case "owned-elsewhere":
        return this.moved(result.claim);
    }
  }

  /** The user went on in another process. What runs here is still ours to settle and to write down. */
  moved(claim: number): void {
    if (!this.writer.isOvertakenBy(claim)) return;
    this.messages.abandon();
    if (this.goal?.status === "active") {
      const message = "The goal of this session is pursued by another OpenCode process now.";
      this.context.perform({ type: "toast", rootID: this.id, variant: "info", message });
    }
    this.pursuit.set(undefined, "moved");
  }

  /** The session is deleted. What it was owed cannot reach anybody. */
  end(): void {
    this.messages.end();
    this.runTurn?.end();
    this.pursuit.set(undefined, "clear");
    this.context.manager.signs.unfollow(this.id);
  }

  /** After an input: ask the gate, say what is to be said, and write down what changed. */
  evaluate(): void {
    const { evaluated: last, goal, state: root, tasks } = this;
    const isSame = last?.goal === goal && last?.root === root && last.tasks === tasks;
    if (isSame && this.now < this.nextDeadline) return;
    const { decision } = this;
    if (this.pursuit.enforce(decision)) return this.evaluate();
    this.pursuit.decided(decision);
    this.pursuit.announceAsks(decision, root, tasks, this.addressed.some(isOursToTell));
    this.messages.work(!this.storage.isFailing);
    this.runTurn?.evaluate();
    this.save();
    this.budget.endTurn(this.storage.isSettled || this.storage.isFailing);
    if (this.isInUse) this.context.manager.signs.follow(this.id, this.now);
    else this.context.manager.signs.unfollow(this.id);
    this.evaluated = { goal: this.goal, root: this.state, tasks: this.tasks };
    this.nextDeadline = this.isInUse ? this.earliest(decision) : this.forgetAt;
  }

  /** Where the end of a turn leaves no time for a write, the next message towards the goal has its id before. */
  private isPrepared(): boolean {
    if (this.goal?.status !== "active" || this.isSending || this.messages.hasSpare) return true;
    if (this.storage.isSettled) this.storage.changed(this.now);
    return false;
  }

  /** What is reserved is another one. A session that sleeps needs none, and stays as it was last used. */
  private otherMessage(): void {
    if (this.state.presence.kind === "asleep") return this.changed();
    this.markDirty(this.context.config.run === undefined ? UNHURRIED_MS : 0);
  }

  private get now(): number {
    return this.context.now();
  }

  private get isInUse(): boolean {
    return this.goal !== undefined || this.isSending || !this.storage.isSettled || this.tasks.length > 0;
  }

  /** Until then an unanswered message of the user's keeps the books open: what it starts may only be on its way. */
  private get userHoldsUntil(): number {
    const { unanswered } = this.state;
    return Math.max(this.turnExpectedUntil, unanswered === undefined ? 0 : unanswered.at + USER_MESSAGE_HOLDS_MS);
  }

  /** A root that is not in use has to be looked at once more, or it would never be forgotten. */
  private get forgetAt(): number {
    const { activity, presence } = this.state;
    if (isUndecided(presence)) return presence.until;
    // A failed turn that never ends would be the first turn of the next goal.
    if (activity.kind === "settling") return activity.until;
    return activity.kind === "idle" && this.userHoldsUntil > 0 ? this.userHoldsUntil : Number.POSITIVE_INFINITY;
  }

  private interruptTasks(): void {
    const { config, desk, perform } = this.context;
    const toast = interruptAnnouncement(this.tasks, config, this.goal?.status === "paused");
    if (toast !== undefined) perform({ type: "toast", rootID: this.id, ...toast });
    desk.interrupt(this.id, config.cancelOnInterrupt);
  }

  private goalChanged(goal: Goal | undefined, event: GoalChange): void {
    // What is used up while a turn works is written at its end.
    if (event === "spent") return this.changed();
    this.markDirty(UNHURRIED.has(event) ? UNHURRIED_MS : 0);
    if (goal !== undefined) this.context.manager.watch(this.id);
    else if (this.context.config.run === undefined) this.context.manager.unwatch(this.id);
  }

  private saveFailed(failures: number, reason: string): void {
    this.markDirty();
    this.messages.withdraw();
    const { maxPromptFailures } = this.context.config.limits;
    if (failures < maxPromptFailures) return;
    if (failures === maxPromptFailures && this.goal?.status !== "active") {
      const message = `What is kept of this session could not be stored: ${reason}. It is tried again; tasks that wait start when it can be.`;
      this.context.perform({ type: "toast", rootID: this.id, variant: "error", message });
    }
    this.goalEvent({ type: "pause", by: "storage", reason: `its state could not be stored: ${reason}` });
  }

  private save(): void {
    const { now, messages, storage } = this;
    const { run } = this.context.config;
    const mayWait = run?.waits === true && this.tasks.some(isWaitedFor);
    const isWorth = storage.mayBePresent || messages.isWaitingForStore || mayWait || this.tasks.some(leavesFootprint);
    if (this.goal === undefined && !isWorth) return storage.giveUp();
    if (messages.isWaitingForStore) storage.changed(now);
    if (!storage.isDue(now)) return;
    const reserved = messages.reservation(this.goal?.status === "active" || mayWait);
    this.writer.write({ goal: this.goal, reserved, tasks: this.tasks });
  }

  private earliest(decision: Decision): number {
    return Math.min(
      rootDeadline(this.state),
      goalDeadline(this.goal, this.now),
      this.messages.deadline,
      decisionDeadline(decision),
      this.storage.deadline,
      this.budget.deadline,
    );
  }

  /** Something beside goal, session and tasks is other than it was evaluated. */
  private changed(): void {
    this.evaluated = undefined;
  }
}

/** Only these are worth a write to a session without a goal. */
function leavesFootprint(task: Task): boolean {
  return task.origin === "background" || task.origin === "launched";
}

/** The message that keeps a turn going for it has its id stored ahead. A turn does not end before a foreground task. */
function isWaitedFor(task: Task): boolean {
  return isLive(task) && task.origin !== "foreground";
}
