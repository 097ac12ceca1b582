import {
  EMPTY,
  type Message,
  type Outbox,
  type OutboxEffect,
  type OutboxEvent,
  outboxDeadline,
  transitionOutbox,
} from "../delivery/outbox.ts";
import { type Decision, decide, decisionDeadline } from "../goals/gate.ts";
import { type Goal, type GoalEvent, goalDeadline, transitionGoal } from "../goals/goal.ts";
import { newRoot, QUIETING_MS, type Root, receiveAsk, receiveInRoot, rootDeadline, startTurn } from "../goals/root.ts";
import { goalState } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import { isLive, SILENCE_MS, type Task } from "../tasks/task.ts";
import { compose, reminderDeadline } from "./compose.ts";
import type { KeeperConfig } from "./config.ts";
import { decisionKey } from "./decision-key.ts";
import type { Effect, Observation, Saved } from "./messages.ts";
import { type Owner, type ReservedMessage, type StoredRoot, stubs } from "./stored-root.ts";

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

type Storage =
  | { readonly kind: "saved" }
  | { readonly kind: "saving"; readonly revision: number }
  | { readonly kind: "failing"; readonly failures: number; readonly retryAt: number };

const LONGEST_SAVE_BACK_OFF_MS = 60_000;

/** The books of one root session: its goal, its outbox, and whether they are stored. Its tasks are the manager's. */
export class RootKeeper {
  private root: Root;
  private currentGoal: Goal | undefined;
  private outbox: Outbox = EMPTY;
  private storage: Storage = { kind: "saved" };
  /** Something durable has changed since the last save was begun. */
  private dirty = false;
  /** The session carries our key. */
  private inStore = false;
  private claim = 1;
  private lastDecision = "";
  private nextDeadline = Number.POSITIVE_INFINITY;

  constructor(
    rootID: string,
    private readonly context: RootContext,
  ) {
    this.root = newRoot(rootID, context.now());
  }

  get id(): string {
    return this.root.id;
  }

  get state(): Root {
    return this.root;
  }

  get goal(): Goal | undefined {
    return this.currentGoal;
  }

  /** Whether a message of ours is on its way. */
  get isSending(): boolean {
    return this.outbox.state !== "empty";
  }

  /** The earliest moment at which {@link clock} has something to do. */
  get deadline(): number {
    return this.nextDeadline;
  }

  get tasks(): readonly Task[] {
    return this.context.manager.of(this.id);
  }

  get decision(): Decision {
    return decide(this.currentGoal, this.root, this.tasks, this.now, this.context.config.gate);
  }

  /** Nothing is left to keep: no goal, no task, no message, and its turn is over. */
  get isForgettable(): boolean {
    return !this.isInUse && this.root.activity.kind === "idle" && this.root.presence.kind !== "quieting";
  }

  /** Known before the host has stored the message, when a command puts it together. */
  userSpeaks(): void {
    this.root = { ...this.root, presence: { kind: "awake" }, unanswered: { messageID: "", at: this.now } };
  }

  /** A host event anywhere in the tree of this root. */
  receive(event: HostEvent, inRoot: boolean): void {
    const before = this.root;
    this.root = receiveAsk(before, event);
    if (!inRoot) return;
    this.root = receiveInRoot(this.root, event, this.now);
    if (event.type === "assistant-message" && !event.summary) {
      this.outboxEvent({ type: "answer-began", userMessageID: event.parentID });
    }
    if (event.type === "session-seen" && event.session.archived) {
      this.goalEvent({ type: "pause", by: "user", reason: "the session was archived" });
    }
    if (event.type !== "session-idle") return;
    if (before.activity.kind === "idle") this.idleAgain();
    else this.turnEnded();
  }

  /** Lets everything of this root whose moment has come act. */
  clock(): void {
    const { now } = this;
    const { presence } = this.root;
    if (presence.kind === "quieting" && presence.until <= now) this.confirmQuiet();
    this.checkActivity();
    this.outboxEvent({ type: "clock", rootIdle: this.root.activity.kind === "idle" });
    if (this.storage.kind === "failing" && this.storage.retryAt <= now) this.dirty = true;
  }

  wake(): void {
    if (this.root.presence.kind !== "awake") this.root = { ...this.root, presence: { kind: "awake" } };
  }

  markDirty(): void {
    this.dirty = true;
  }

  goalEvent(event: GoalEvent): void {
    const before = this.currentGoal;
    const after = transitionGoal(before, event, this.now, this.context.config.limits);
    if (after === before) return;
    this.setGoal(after, event.type);
    if (after === undefined || after.status === "active" || after.status === before?.status) return;
    const done = after.status === "complete";
    const message = `Goal ${goalState(after)}.${done ? "" : " /goal resume goes on."}`;
    this.context.perform({ type: "toast", rootID: this.id, variant: done ? "success" : "warning", message });
  }

  outboxEvent(event: OutboxEvent): void {
    const before = this.outbox;
    const { outbox, effects } = transitionOutbox(before, event, this.now);
    if (outbox === before) return;
    if (messageOf(outbox)?.id !== messageOf(before)?.id) this.dirty = true;
    this.outbox = outbox;
    this.context.observe({
      type: "outbox",
      rootID: this.id,
      state: outbox.state,
      message: messageOf(outbox) ?? messageOf(before),
    });
    for (const effect of effects) this.outboxEffect(effect);
  }

  /** Takes a stored root back. Its tasks are in the manager already. */
  restore(stored: StoredRoot, awake: boolean): void {
    this.claim = stored.claim + 1;
    this.setGoal(stored.goal, "restored");
    // What was read need not be written: the next transition will.
    this.dirty = false;
    this.inStore = true;
    if (stored.reserved !== undefined)
      this.outboxEvent({ type: "restored", message: { ...stored.reserved, text: "" } });
    if (awake) return;
    this.root = { ...this.root, presence: { kind: "asleep", since: this.now } };
    if (stored.goal?.status !== "active") return;
    const message = "A goal sleeps in this session. Write a message or say /goal resume to go on.";
    this.context.perform({ type: "toast", rootID: this.id, variant: "info", message });
  }

  saved(revision: number, result: Saved): void {
    if (this.storage.kind !== "saving" || this.storage.revision !== revision) return;
    switch (result.kind) {
      case "ok":
        this.storage = { kind: "saved" };
        this.inStore = true;
        if (!this.dirty) this.release();
        return;
      case "failed":
        return this.saveFailed(result.reason);
      case "owned-elsewhere":
        return this.moved();
    }
  }

  /** The session is deleted. What it was owed cannot reach anybody. */
  end(): void {
    this.outboxEvent({ type: "reader-gone" });
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
    if (this.outbox.state === "empty" && this.storage.kind !== "failing") {
      const message = this.compose(decision);
      if (message !== undefined) this.outboxEvent({ type: "put", message });
    }
    this.save();
    if (this.isInUse) this.context.manager.signs.follow(this.id, this.now);
    else this.context.manager.signs.unfollow(this.id);
    this.nextDeadline = this.isInUse ? this.earliest(decision) : Number.POSITIVE_INFINITY;
  }

  private get now(): number {
    return this.context.now();
  }

  private get isInUse(): boolean {
    return (
      this.currentGoal !== undefined ||
      this.outbox.state !== "empty" ||
      this.storage.kind !== "saved" ||
      this.tasks.length > 0
    );
  }

  private turnEnded(): void {
    const { turn, presence } = this.root;
    this.root = { ...this.root, turn: undefined };
    if (presence.kind === "quieting" || presence.kind === "quiet") return;
    const { continuation, progressed, error } = turn ?? { continuation: false, progressed: false, error: undefined };
    this.goalEvent({ type: "turn-ended", continuation, progressed, error });
  }

  /** Aborting an idle root publishes only another idle, right after its native children were aborted. */
  private idleAgain(): void {
    const since = this.now - QUIETING_MS;
    const justAborted = this.tasks.some(
      (task) => task.status === "running" && task.observed.kind === "aborted" && task.observed.since >= since,
    );
    if (!justAborted || this.root.presence.kind !== "awake") return;
    this.root = { ...this.root, presence: { kind: "quieting", until: this.now + QUIETING_MS } };
  }

  /** No dispose has followed the abort: it was the user, not a quit or a reload. */
  private confirmQuiet(): void {
    this.root = { ...this.root, presence: { kind: "quiet", since: this.now } };
    for (const task of this.tasks) {
      if (isLive(task) && task.origin !== "adopted") this.context.manager.dispatch(task.id, { type: "interrupted" });
    }
    this.goalEvent({ type: "pause", by: "user", reason: "you interrupted" });
  }

  /** A busy or retrying that is never taken back must not hold a goal: after a silence the host is asked. */
  private checkActivity(): void {
    const { activity } = this.root;
    const { now } = this;
    if (activity.kind === "retrying" && activity.until <= now) {
      this.root = { ...this.root, activity: { kind: "busy", askAt: now + SILENCE_MS } };
    }
    if (activity.kind !== "busy" || activity.askAt > now) return;
    const heardUntil = this.context.manager.signs.lastAt(this.id) + SILENCE_MS;
    this.root = { ...this.root, activity: { kind: "busy", askAt: heardUntil > now ? heardUntil : now + SILENCE_MS } };
    if (heardUntil <= now) this.context.askStatuses();
  }

  private setGoal(goal: Goal | undefined, event: GoalEvent["type"] | "restored" | "moved"): void {
    const before = this.currentGoal;
    if (goal === before) return;
    this.currentGoal = goal;
    this.dirty = true;
    if (goal === undefined) this.context.manager.unwatch(this.id);
    else this.context.manager.watch(this.id);
    this.context.observe({ type: "goal", rootID: this.id, before, after: goal, event });
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
          prompt: { sessionID: this.id, messageID, partID, text, voice: this.root.voice },
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
        this.root = startTurn(this.root, message.kind !== "task-outcome");
        if (message.kind === "continuation")
          this.goalEvent({ type: "continued", releasedTaskIDs: message.overdueTaskIDs });
        if (message.kind === "wrapup") this.goalEvent({ type: "wrapped-up" });
        return;
      case "given-up": {
        const reason = `the message could not be delivered: ${effect.reason}`;
        for (const { taskID, run } of message.outcomes) manager.dispatch(taskID, { type: "undelivered", run, reason });
        return this.goalEvent(
          message.kind === "wrapup" ? { type: "wrapped-up" } : { type: "prompt-failed", reason: effect.reason },
        );
      }
    }
  }

  /** Written before acted: a message goes out once its reservation is stored, if it is still wanted. */
  private release(): void {
    if (this.outbox.state !== "reserved") return;
    this.outboxEvent({ type: this.isStillWanted(this.outbox.message) ? "stored" : "withdraw" });
  }

  private isStillWanted(message: Message): boolean {
    const wanted = this.compose(this.decision);
    const carries = (outcome: Message["outcomes"][number]) =>
      wanted?.outcomes.some((other) => other.taskID === outcome.taskID && other.run === outcome.run) === true;
    return wanted?.kind === message.kind && message.outcomes.every(carries);
  }

  private saveFailed(reason: string): void {
    const failures = this.storage.kind === "failing" ? this.storage.failures + 1 : 1;
    this.storage = {
      kind: "failing",
      failures,
      retryAt: this.now + Math.min(1_000 * 2 ** failures, LONGEST_SAVE_BACK_OFF_MS),
    };
    if (this.outbox.state !== "reserved") return;
    this.outboxEvent({ type: "withdraw" });
    this.goalEvent({ type: "prompt-failed", reason: `its state could not be stored: ${reason}` });
  }

  /** The user went on in another process. What runs here is still ours to settle. */
  private moved(): void {
    this.storage = { kind: "saved" };
    this.outbox = EMPTY;
    this.setGoal(undefined, "moved");
    this.dirty = false;
  }

  private observeDecision(decision: Decision): void {
    const key = decisionKey(decision);
    if (key === this.lastDecision) return;
    this.lastDecision = key;
    if (this.currentGoal !== undefined) this.context.observe({ type: "decision", rootID: this.id, decision });
  }

  private compose(decision: Decision): Message | undefined {
    const { root, currentGoal: goal, tasks, now } = this;
    return compose({ root, goal, decision, tasks, now, ids: this.context.ids });
  }

  private save(): void {
    const { now, storage } = this;
    const wanted = this.currentGoal !== undefined || this.inStore || this.tasks.some(leavesFootprint);
    if (!this.dirty || !wanted || storage.kind === "saving" || (storage.kind === "failing" && storage.retryAt > now))
      return;
    const revision = this.context.nextRevision();
    const stored: StoredRoot = {
      version: 1,
      self: this.id,
      owner: this.context.owner,
      claim: this.claim,
      revision,
      goal: this.currentGoal,
      reserved: reservation(this.outbox),
      tasks: stubs(this.tasks),
    };
    this.dirty = false;
    this.storage = { kind: "saving", revision };
    this.context.perform({ type: "save", rootID: this.id, revision, stored });
  }

  private earliest(decision: Decision): number {
    return Math.min(
      rootDeadline(this.root),
      goalDeadline(this.currentGoal, this.now),
      outboxDeadline(this.outbox),
      decisionDeadline(decision),
      reminderDeadline(this.root, this.tasks, this.now),
      this.storage.kind === "failing" ? this.storage.retryAt : Number.POSITIVE_INFINITY,
    );
  }
}

/** Only these are worth a write to a session without a goal. */
function leavesFootprint(task: Task): boolean {
  return task.origin === "background" || task.origin === "launched";
}

function messageOf(outbox: Outbox): Message | undefined {
  return outbox.state === "empty" ? undefined : outbox.message;
}

function reservation(outbox: Outbox): ReservedMessage | undefined {
  if (outbox.state === "empty") return undefined;
  const { text: _text, ...reserved } = outbox.message;
  return reserved;
}
