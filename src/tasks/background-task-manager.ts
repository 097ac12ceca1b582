import type { HostEvent } from "../host/port.ts";
import { cleanupAt } from "./delayed-cleanup.ts";
import { ABORT_ERROR, byCreation } from "./outcome.ts";
import { type NativeCall, SessionTree } from "./session-tree.ts";
import { Signs } from "./signs.ts";
import {
  type Delivery,
  type EndedTask,
  isEnded,
  type Origin,
  QUIET_START_MS,
  SILENCE_MS,
  type Task,
  type TaskTiming,
  taskDeadline,
} from "./task.ts";
import type { TaskEffect, TaskEvent, TransitionContext } from "./task-event.ts";
import { transition } from "./transition.ts";

/** One change of the records. `after` is undefined when the delayed cleanup removed the record. */
export interface TaskChange {
  readonly before: Task | undefined;
  readonly after: Task | undefined;
  readonly event: TaskEvent["type"] | "noticed" | "cleanup" | "restored";
}

export interface TaskManagerDependencies {
  readonly now: () => number;
  readonly timing: TaskTiming;
  /** Names this plugin instance in the records it runs. */
  readonly runner: string;
  readonly onChange: (change: TaskChange) => void;
  readonly onEffect: (effect: TaskEffect) => void;
}

/**
 * The books on every child session. It knows nothing of goals, and it does not send, store or wait: it turns host
 * events into {@link TaskEvent}s, applies {@link transition} in one place, and says what has to be looked at.
 */
export class BackgroundTaskManager {
  readonly signs = new Signs();
  readonly tree = new SessionTree();
  private readonly tasks = new Map<string, Task>();
  private readonly byRoot = new Map<string, Set<string>>();
  /** The answers of {@link of}, until a record of that root changes: the gate asks several times per event. */
  private readonly listed = new Map<string, readonly Task[]>();
  private readonly watched = new Set<string>();

  constructor(private readonly deps: TaskManagerDependencies) {}

  /** The one write point for an existing record. */
  dispatch(taskID: string, event: TaskEvent): void {
    const before = this.tasks.get(taskID);
    if (before === undefined) return;
    const lastSignAt = Math.max(this.signs.lastAt(taskID), before.run.startedAt);
    const runsElsewhere = before.runner !== this.deps.runner;
    const context = { now: this.deps.now(), timing: this.deps.timing, lastSignAt, runsElsewhere };
    const { task, effects } = transition(before, event, context);
    if (task.run.number > before.run.number) this.endRun(before, context);
    if (task !== before) this.write(before, task, event.type);
    for (const effect of effects) this.deps.onEffect(effect);
  }

  /** A record holds one outcome: an earlier one that nobody has told by now never will be. */
  private endRun(before: Task, context: TransitionContext): void {
    this.signs.dropText(before.id);
    if (!isEnded(before) || before.delivery.state !== "pending") return;
    const reason = "another run began before it was told";
    const { task } = transition(before, { type: "undelivered", run: before.run.number, reason }, context);
    this.write(before, task, "undelivered");
  }

  /** Sorts one host event to the tasks that it concerns. */
  receive(event: HostEvent): void {
    switch (event.type) {
      case "session-seen":
        return this.tree.see(event.session);
      case "session-deleted":
        return this.deleted(event.sessionID);
      case "session-busy":
      case "session-retrying":
        this.tree.setBusy(event.sessionID, true);
        this.notice(event.sessionID);
        return this.dispatch(event.sessionID, { type: "busy" });
      case "session-idle":
        return this.idle(event.sessionID);
      case "session-error":
        if (event.error.name === ABORT_ERROR) this.dispatch(event.sessionID, { type: "aborted" });
        return;
      case "user-text":
        if (!event.ignored) this.dispatch(event.sessionID, { type: "prompted", promptID: event.messageID });
        return this.hostTold(event);
      case "assistant-text":
        return this.signs.keepText(event.sessionID, event.text);
      case "assistant-message":
        if (event.completedAt !== undefined && !event.summary) this.answered(event.sessionID, event.parentID);
        return;
      case "tool":
        return this.tool(event);
      case "user-message":
      case "session-compacted":
      case "ask-opened":
      case "ask-closed":
        return;
    }
  }

  /** Lets every deadline that has passed act, and removes records whose query window is over. */
  tick(): void {
    const now = this.deps.now();
    for (const task of [...this.tasks.values()]) {
      if (taskDeadline(task) <= now) this.dispatch(task.id, { type: "clock" });
      if (cleanupAt(task, this.deps.timing) <= now) this.write(task, undefined, "cleanup");
    }
  }

  /** The earliest moment at which {@link tick} has something to do. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const task of this.tasks.values()) {
      earliest = Math.min(earliest, taskDeadline(task), cleanupAt(task, this.deps.timing));
    }
    return earliest;
  }

  /** From now on every child of this root is a task, also one that already works. */
  watch(rootID: string): void {
    if (this.watched.has(rootID)) return;
    this.watched.add(rootID);
    // A session from before this process, or one that was forgotten while nobody watched it.
    if (this.tree.get(rootID) === undefined)
      this.tree.see({ id: rootID, title: "", createdAt: 0, archived: false, metadata: {} });
    for (const child of this.tree.busyBelow(rootID)) {
      this.notice(child.id);
      this.dispatch(child.id, { type: "busy" });
    }
  }

  unwatch(rootID: string): void {
    this.watched.delete(rootID);
  }

  /** Takes records back from stored state, before any event about them. */
  restore(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (!this.tasks.has(task.id)) this.write(undefined, task, "restored");
    }
  }

  get(taskID: string): Task | undefined {
    return this.tasks.get(taskID);
  }

  /** The tasks that count for a root, nested ones included, oldest first. */
  of(rootID: string): readonly Task[] {
    const known = this.listed.get(rootID);
    if (known !== undefined) return known;
    const ids = this.byRoot.get(rootID);
    if (ids === undefined) return [];
    const tasks = [...ids].flatMap((id) => this.tasks.get(id) ?? []).sort(byCreation);
    this.listed.set(rootID, tasks);
    return tasks;
  }

  /** Live tasks that nobody has heard of for a while; one status call answers for all of them. */
  silent(): readonly Task[] {
    const now = this.deps.now();
    return [...this.tasks.values()].filter(
      (task) =>
        task.runner === this.deps.runner &&
        (task.status === "queued" || (task.status === "running" && task.observed.kind === "alive")) &&
        now >= Math.max(this.signs.lastAt(task.id) + SILENCE_MS, task.run.startedAt + QUIET_START_MS),
    );
  }

  /** Records, followed sessions and known sessions; all zero once everything ended and the windows are over. */
  get sizes(): { tasks: number; signs: number; roots: number } {
    return { tasks: this.tasks.size, signs: this.signs.size, roots: this.byRoot.size };
  }

  /** Opens the record of a child. `wanted`: also when nothing watches its root yet. */
  private notice(sessionID: string, wanted = false): void {
    const seen = this.tree.get(sessionID);
    const rootID = this.tree.rootOf(sessionID);
    if (seen?.parentID === undefined || rootID === undefined || this.tasks.has(sessionID)) return;
    if (!wanted && !this.isWatched(rootID)) return;
    const now = this.deps.now();
    const { native } = seen;
    this.write(
      undefined,
      {
        id: sessionID,
        parentID: seen.parentID,
        rootID,
        origin: originOf(native),
        title: native === undefined || native.title === "" ? seen.title : native.title,
        createdAt: seen.createdAt,
        run: { number: 1, startedAt: now, ...(native === undefined ? {} : { callID: native.callID }) },
        runner: this.deps.runner,
        status: "queued",
        askAt: now + QUIET_START_MS,
      },
      "noticed",
    );
  }

  private idle(sessionID: string): void {
    this.tree.setBusy(sessionID, false);
    this.dispatch(sessionID, { type: "idle" });
    // The turn that held a foreground result is over: its reader has it.
    for (const task of this.deliveredTo(sessionID)) {
      if (task.delivery.byTurn) this.dispatch(task.id, { type: "reconciled", run: task.run.number });
    }
    const rootID = this.tree.rootOf(sessionID);
    if (rootID === undefined || !this.isWatched(rootID)) this.tree.forget(sessionID);
  }

  private deleted(sessionID: string): void {
    this.dispatch(sessionID, { type: "deleted", text: this.signs.text(sessionID) });
    // With the root every reader is gone, also for tasks of children that were no task themselves.
    for (const task of this.byRoot.has(sessionID) ? this.of(sessionID) : this.childrenOf(sessionID)) {
      this.dispatch(task.id, { type: "deleted", text: this.signs.text(task.id) });
      this.dispatch(task.id, { type: "undelivered", run: task.run.number, reason: "its parent session was deleted" });
    }
    this.watched.delete(sessionID);
    this.tree.forget(sessionID);
  }

  private tool(event: Extract<HostEvent, { type: "tool" }>): void {
    const { child } = event;
    if (child === undefined) return;
    if (event.state === "running" && this.tree.get(child.sessionID) === undefined) {
      // A child from before this process, resumed by its parent.
      const { sessionID: id, title } = child;
      this.tree.see({
        id,
        parentID: event.sessionID,
        title,
        createdAt: this.deps.now(),
        archived: false,
        metadata: {},
      });
    }
    this.tree.setNative(child.sessionID, { callID: event.callID, background: child.background, title: child.title });
    const known = this.tasks.get(child.sessionID);
    if (known === undefined) {
      // Only a call that still works makes a task: the host repeats the parts of old calls when it compacts.
      const works = event.state === "running" || (event.state === "completed" && child.background);
      if (!works || !this.tree.get(child.sessionID)) return;
      this.notice(child.sessionID, child.background);
    }
    this.dispatch(child.sessionID, {
      type: "tool",
      state: event.state,
      callID: event.callID,
      background: child.background,
      output: event.output,
      messageID: event.messageID,
    });
  }

  /** OpenCode wakes the parent of an ended background task with a synthetic `<task id="…" state="…">` text. */
  private hostTold(event: Extract<HostEvent, { type: "user-text" }>): void {
    const told = event.told;
    const task = told === undefined ? undefined : this.tasks.get(told.taskID);
    if (told === undefined || task === undefined || task.parentID !== event.sessionID) return;
    this.dispatch(task.id, { type: "told", ended: told.ended, text: told.text, messageID: event.messageID });
  }

  /** Message ids ascend, so an answer to a later message has read the earlier one too. */
  private answered(sessionID: string, userMessageID: string): void {
    for (const task of this.deliveredTo(sessionID)) {
      if (task.delivery.byTurn || userMessageID < task.delivery.messageID) continue;
      this.dispatch(task.id, { type: "reconciled", run: task.run.number });
    }
  }

  private deliveredTo(sessionID: string): readonly DeliveredTask[] {
    const rootID = this.tree.rootOf(sessionID) ?? sessionID;
    return this.of(rootID)
      .filter(isDelivered)
      .filter((task) => task.delivery.sessionID === sessionID);
  }

  private childrenOf(parentID: string): readonly Task[] {
    const rootID = this.tree.rootOf(parentID) ?? parentID;
    return this.of(rootID).filter((task) => task.parentID === parentID);
  }

  /** A child that is over stays known while it has children: they find their root through it. */
  private forgetEnded(sessionID: string): void {
    let seen = this.tree.get(sessionID);
    while (seen?.parentID !== undefined && !seen.busy && !this.tasks.has(seen.id) && !this.tree.hasChildren(seen.id)) {
      this.tree.forget(seen.id);
      seen = this.tree.get(seen.parentID);
    }
  }

  /** A root counts while a goal watches it, or while it has records. */
  private isWatched(rootID: string): boolean {
    return this.watched.has(rootID) || this.byRoot.has(rootID);
  }

  private write(before: Task | undefined, after: Task | undefined, event: TaskChange["event"]): void {
    const record = after ?? before;
    if (record === undefined) return;
    this.listed.delete(record.rootID);
    if (after === undefined) {
      this.tasks.delete(record.id);
      this.signs.unfollow(record.id);
      const siblings = this.byRoot.get(record.rootID);
      siblings?.delete(record.id);
      if (siblings?.size === 0) this.byRoot.delete(record.rootID);
      this.forgetEnded(record.id);
    } else {
      this.tasks.set(record.id, after);
      this.signs.follow(record.id, this.deps.now());
      const siblings = this.byRoot.get(record.rootID);
      if (siblings === undefined) this.byRoot.set(record.rootID, new Set([record.id]));
      else siblings.add(record.id);
    }
    this.deps.onChange({ before, after, event });
  }
}

type DeliveredTask = EndedTask & { readonly delivery: Extract<Delivery, { state: "delivered" }> };

function isDelivered(task: Task): task is DeliveredTask {
  return isEnded(task) && task.delivery.state === "delivered";
}

function originOf(native: NativeCall | undefined): Origin {
  if (native === undefined) return "adopted";
  return native.background ? "background" : "foreground";
}
