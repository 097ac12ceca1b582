import type { Found, Message, Outbox, OutboxEffect, OutboxEvent } from "../delivery/outbox.ts";
import { type Decision, decide, decisionDeadline, rootReasons } from "../goals/gate.ts";
import { type Goal, type GoalEvent, goalDeadline, transitionGoal } from "../goals/goal.ts";
import { type Root, rootDeadline, USER_MESSAGE_HOLDS_MS } from "../goals/root.ts";
import { goalState } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import { isLive, type Task } from "../tasks/task.ts";
import { compose, reminderDeadline } from "./compose.ts";
import type { KeeperConfig } from "./config.ts";
import { decisionKey } from "./decision-key.ts";
import type { Effect, Observation, Saved } from "./messages.ts";
import { messageOf, RootSender } from "./root-sender.ts";
import { RootSession } from "./root-session.ts";
import { RootStorage, UNHURRIED_MS } from "./root-storage.ts";
import { type Owner, type StoredRoot, stubs } from "./stored-root.ts";

/** What the books of one root need from the keeper around them. */
export interface RootContext {
  readonly now: () => number;
  readonly config: KeeperConfig;
  readonly owner: Owner;
  readonly manager: BackgroundTaskManager;
  readonly ids: { message(after: string): string; part(): string };
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
  /** Asks the host for its statuses, once for everybody who wants them. */
  readonly askStatuses: () => void;
  readonly nextRevision: () => number;
}

/** Changes of a goal that a crash takes nothing away from: the transcript shows them, or they come again. */
const UNHURRIED: ReadonlySet<string> = new Set(["continued", "turn-ended", "wrapped-up"] satisfies GoalEvent["type"][]);

/** The books of one root session: its goal, its outbox, and whether they are stored. Its tasks are the manager's. */
export class RootKeeper {
  private readonly session: RootSession;
  private currentGoal: Goal | undefined;
  private readonly sender: RootSender;
  private readonly storage = new RootStorage();
  private claim = 1;
  /** Another process keeps the books; only the tasks that run here are still ours. */
  private isElsewhere = false;
  private lastDecision = "";
  private nextDeadline = Number.POSITIVE_INFINITY;

  constructor(
    rootID: string,
    private readonly context: RootContext,
  ) {
    this.session = new RootSession(rootID, {
      now: context.now,
      tasks: () => this.tasks,
      lastSignAt: () => context.manager.signs.lastAt(rootID),
      onGoalEvent: (event) => this.goalEvent(event),
      onInterrupted: () => this.interruptTasks(),
      askStatuses: context.askStatuses,
    });
    this.sender = new RootSender({
      now: context.now,
      ids: context.ids,
      wanted: () => this.wanted(),
      lastMessageID: () => this.state.lastMessageID,
      storedID: () => this.storage.reservedID,
      onChange: (before, after) => this.outboxChanged(before, after),
      onEffect: (effect) => this.outboxEffect(effect),
    });
  }

  get id(): string {
    return this.state.id;
  }

  get state(): Root {
    return this.session.state;
  }

  get goal(): Goal | undefined {
    return this.currentGoal;
  }

  get claimed(): number {
    return this.storage.isPresent ? this.claim : 0;
  }

  /** Whether a message of ours is on its way. */
  get isSending(): boolean {
    return this.sender.message !== undefined;
  }

  /** The earliest moment at which {@link clock} has something to do. */
  get deadline(): number {
    return this.nextDeadline;
  }

  get tasks(): readonly Task[] {
    return this.context.manager.of(this.id);
  }

  get decision(): Decision {
    return decide(this.currentGoal, this.state, this.tasks, this.now, this.context.config.gate);
  }

  /** Nothing is left to keep: no goal, no task, no message, its turn is over, and no message of the user's comes. */
  get isForgettable(): boolean {
    const { activity, presence } = this.state;
    const rests = activity.kind === "idle" && presence.kind !== "quieting";
    return !this.isInUse && rests && this.userHoldsUntil <= this.now;
  }

  /** What the transcript says about the message that is on its way: by now it may be unwanted. */
  verified(found: Found): void {
    const { message } = this.sender;
    if (message === undefined) return;
    const { decision } = this;
    const maySend =
      message.kind === "task-outcome"
        ? rootReasons(this.state, this.now).length === 0
        : decision.kind === "continue" && decision.prompt === message.kind;
    this.sender.event({ type: "verified", found, maySend });
  }

  /** A host event anywhere in the tree of this root. */
  receive(event: HostEvent, inRoot: boolean): void {
    this.session.receive(event, inRoot);
    if (inRoot && event.type === "assistant-message" && !event.summary) {
      this.sender.event({ type: "answer-began", userMessageID: event.parentID });
    }
  }

  /** Lets everything of this root whose moment has come act. */
  clock(): void {
    this.session.clock();
    this.sender.event({ type: "clock", rootIdle: this.state.activity.kind === "idle" });
  }

  userSpeaks(): void {
    this.session.userSpeaks();
  }

  wake(): void {
    this.session.wake();
  }

  /** A task has ended. */
  sessionEnded(sessionID: string): void {
    this.session.ended(sessionID);
  }

  markDirty(): void {
    this.storage.changed(this.now);
  }

  goalEvent(event: GoalEvent): void {
    const before = this.currentGoal;
    const after = transitionGoal(before, event, this.now, this.context.config.limits);
    if (after === before) return;
    this.setGoal(after, event.type);
    if (after === undefined || after.status === "active" || after.status === before?.status) return;
    const done = after.status === "complete";
    const message = `Goal ${goalState(after)}.${done ? "" : ` /${this.context.config.command} resume goes on.`}`;
    this.context.perform({ type: "toast", rootID: this.id, variant: done ? "success" : "warning", message });
  }

  /** An answer of the host about the message that is on its way. */
  outboxEvent(event: OutboxEvent): void {
    this.sender.event(event);
  }

  /** Takes a stored root back. Its tasks are in the manager already. */
  restore(stored: StoredRoot, awake: boolean): void {
    this.claim = stored.claim + 1;
    this.isElsewhere = false;
    this.setGoal(stored.goal, "restored");
    this.storage.wasRead();
    if (stored.reserved !== undefined)
      this.sender.event({ type: "restored", message: { ...stored.reserved, text: "" } });
    if (awake) return;
    this.session.sleep();
    if (stored.goal?.status !== "active") return;
    const message = `A goal sleeps in this session. Write a message or say /${this.context.config.command} resume to go on.`;
    this.context.perform({ type: "toast", rootID: this.id, variant: "info", message });
  }

  saved(revision: number, result: Exclude<Saved, { kind: "gone" }>): void {
    const ended = this.storage.end(revision, result, this.now);
    if (ended === undefined) return;
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
    // The user may be back here since.
    if (claim < this.claim) return;
    this.isElsewhere = true;
    this.sender.abandon();
    if (this.currentGoal?.status === "active") {
      const message = "The goal of this session is pursued by another OpenCode process now.";
      this.context.perform({ type: "toast", rootID: this.id, variant: "info", message });
    }
    this.setGoal(undefined, "moved");
  }

  /** The session is deleted. What it was owed cannot reach anybody. */
  end(): void {
    this.sender.event({ type: "reader-gone" });
    this.setGoal(undefined, "clear");
    this.context.manager.signs.unfollow(this.id);
  }

  /** After an input: ask the gate, say what is to be said, and write down what changed. */
  evaluate(): void {
    const { decision } = this;
    if (
      decision.kind === "stop" &&
      decision.reason.why === "restricted-agent" &&
      this.currentGoal?.status === "active"
    ) {
      this.goalEvent({
        type: "pause",
        by: "restricted-agent",
        reason: `the agent "${decision.reason.agent}" does not pursue goals`,
      });
      return this.evaluate();
    }
    this.observeDecision(decision);
    this.sender.work(!this.storage.isFailing);
    this.save();
    if (this.isInUse) this.context.manager.signs.follow(this.id, this.now);
    else this.context.manager.signs.unfollow(this.id);
    this.nextDeadline = this.isInUse ? this.earliest(decision) : this.forgetAt;
  }

  private get now(): number {
    return this.context.now();
  }

  private get isInUse(): boolean {
    return this.currentGoal !== undefined || this.isSending || !this.storage.isSettled || this.tasks.length > 0;
  }

  /** Until then an unanswered message of the user's keeps the books open: what it starts may only be on its way. */
  private get userHoldsUntil(): number {
    return this.state.unanswered === undefined ? 0 : this.state.unanswered.at + USER_MESSAGE_HOLDS_MS;
  }

  /** A root that is not in use has to be looked at once more, or it would never be forgotten. */
  private get forgetAt(): number {
    const { activity, presence } = this.state;
    if (presence.kind === "quieting") return presence.until;
    return activity.kind === "idle" && this.userHoldsUntil > 0 ? this.userHoldsUntil : Number.POSITIVE_INFINITY;
  }

  private interruptTasks(): void {
    for (const task of this.tasks) {
      if (isLive(task) && task.origin !== "adopted") this.context.manager.dispatch(task.id, { type: "interrupted" });
    }
  }

  private setGoal(goal: Goal | undefined, event: GoalEvent["type"] | "restored" | "moved"): void {
    const before = this.currentGoal;
    if (goal === before) return;
    this.currentGoal = goal;
    this.storage.changed(UNHURRIED.has(event) ? this.now + UNHURRIED_MS : this.now);
    if (goal === undefined) this.context.manager.unwatch(this.id);
    else this.context.manager.watch(this.id);
    this.context.observe({ type: "goal", rootID: this.id, before, after: goal, event });
  }

  private outboxChanged(before: Outbox, after: Outbox): void {
    const [was, is] = [messageOf(before), messageOf(after)];
    if (was?.id !== is?.id) this.storage.changed(this.now + UNHURRIED_MS);
    this.context.observe({ type: "outbox", rootID: this.id, state: after.state, message: is ?? was });
  }

  private outboxEffect(effect: OutboxEffect): void {
    const { message } = effect;
    const { manager, perform } = this.context;
    switch (effect.type) {
      case "send": {
        const { id: messageID, partID, text } = message;
        return perform({
          type: "send",
          rootID: this.id,
          prompt: { sessionID: this.id, messageID, partID, text, voice: this.state.voice },
        });
      }
      case "verify":
        return perform({ type: "verify", rootID: this.id, message });
      case "delivered":
        for (const { taskID, run } of message.outcomes) {
          manager.dispatch(taskID, { type: "delivered", run, sessionID: this.id, messageID: message.id });
        }
        return;
      case "started":
        this.session.beginTurn(message.id, message.kind === "task-outcome" ? "report" : "continuation");
        return this.count(message);
      case "overtaken":
        return this.count(message);
      case "given-up": {
        const reason = `the message could not be delivered: ${effect.reason}`;
        for (const { taskID, run } of message.outcomes) manager.dispatch(taskID, { type: "undelivered", run, reason });
        return this.goalEvent(
          message.kind === "wrapup" ? { type: "wrapped-up" } : { type: "prompt-failed", reason: effect.reason },
        );
      }
    }
  }

  private count(message: Message): void {
    if (message.kind === "continuation") this.goalEvent({ type: "continued", releasedTaskIDs: message.overdueTaskIDs });
    if (message.kind === "wrapup") this.goalEvent({ type: "wrapped-up" });
  }

  private saveFailed(failures: number, reason: string): void {
    this.storage.changed(this.now);
    this.sender.event({ type: "withdraw" });
    if (failures < this.context.config.limits.maxPromptFailures) return;
    this.goalEvent({ type: "pause", by: "storage", reason: `its state could not be stored: ${reason}` });
  }

  private observeDecision(decision: Decision): void {
    const key = decisionKey(decision);
    if (key === this.lastDecision) return;
    this.lastDecision = key;
    if (this.currentGoal !== undefined) this.context.observe({ type: "decision", rootID: this.id, decision });
  }

  private wanted(): Message | undefined {
    if (this.isElsewhere) return undefined;
    const { state: root, currentGoal: goal, decision, tasks, now } = this;
    return compose({ root, goal, decision, tasks, now, ids: this.context.ids });
  }

  private save(): void {
    const { now, sender, storage } = this;
    const wanted = this.currentGoal !== undefined || storage.isPresent || this.tasks.some(leavesFootprint);
    if (!wanted) return storage.giveUp();
    if (sender.isWaitingForStore) storage.changed(now);
    if (!storage.isDue(now)) return;
    const revision = this.context.nextRevision();
    const reserved = sender.reservation(this.currentGoal?.status === "active");
    const stored: StoredRoot = {
      version: 1,
      self: this.id,
      owner: this.context.owner,
      claim: this.claim,
      revision,
      goal: this.currentGoal,
      reserved,
      tasks: stubs(this.tasks),
    };
    storage.begin(revision, reserved?.id);
    this.context.perform({ type: "save", rootID: this.id, revision, stored });
  }

  private earliest(decision: Decision): number {
    return Math.min(
      rootDeadline(this.state),
      goalDeadline(this.currentGoal, this.now),
      this.sender.deadline,
      decisionDeadline(decision),
      reminderDeadline(this.state, this.tasks, this.now),
      this.storage.deadline,
    );
  }
}

/** Only these are worth a write to a session without a goal. */
function leavesFootprint(task: Task): boolean {
  return task.origin === "background" || task.origin === "launched";
}
