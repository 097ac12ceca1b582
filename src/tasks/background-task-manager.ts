import type { HostEvent } from "../host/port.ts";
import { cleanupAt } from "./delayed-cleanup.ts";
import { MessageOrder } from "./message-order.ts";
import { DEEPEST_CHAIN, SessionTree } from "./session-tree.ts";
import { type NoticedChild, SessionWatch } from "./session-watch.ts";
import { Signs } from "./signs.ts";
import { Tally } from "./tally.ts";
import {
  isEnded,
  isLive,
  type Launch,
  QUIET_START_MS,
  SILENCE_MS,
  type Task,
  type TaskTiming,
  taskDeadline,
} from "./task.ts";
import type { TaskEffect, TaskEvent, TransitionContext } from "./task-event.ts";
import { TaskRecords } from "./task-records.ts";
import { transition } from "./transition.ts";

/** One change of the records. `after` is undefined when the delayed cleanup removed the record. */
export interface TaskChange {
  readonly before: Task | undefined;
  readonly after: Task | undefined;
  readonly event: TaskEvent["type"] | "noticed" | "launched" | "cleanup" | "restored";
}

/** A child session that was made for a task and has not been prompted yet. */
export interface NewTask {
  readonly id: string;
  readonly parentID: string;
  readonly title: string;
  readonly createdAt: number;
  readonly launch: Launch;
  readonly promptID: string;
  readonly prompt: string;
}

export interface TaskManagerDependencies {
  readonly now: () => number;
  readonly timing: TaskTiming;
  /** Names this plugin instance in the records it runs. */
  readonly runner: string;
  /** Whether children that others made are tasks too. */
  readonly adopts: boolean;
  readonly onChange: (change: TaskChange) => void;
  readonly onEffect: (effect: TaskEffect) => void;
}

/**
 * The books on every child session. It knows nothing of goals, and it does not send, store or wait: it turns host
 * events into {@link TaskEvent}s, applies {@link transition} in one place, and says what has to be looked at.
 */
export class BackgroundTaskManager {
  readonly order: MessageOrder;
  readonly signs: Signs;
  readonly tree = new SessionTree();
  private readonly records = new TaskRecords((sessionID) => this.tree.rootOf(sessionID));
  private readonly sessions: SessionWatch;
  /** How many wait for a record, by its id: it stays for them. */
  private readonly attached = new Tally();
  /** How many tasks a session waits for in its tool calls: meanwhile it needs no slot. */
  private readonly waiters = new Tally();
  private attachments = 0;
  private earliest: { readonly version: number; readonly at: number } | undefined;

  constructor(private readonly deps: TaskManagerDependencies) {
    this.order = new MessageOrder(deps.now);
    this.signs = new Signs(this.order);
    const { order, tree, signs, records } = this;
    this.sessions = new SessionWatch({
      order,
      tree,
      signs,
      records,
      now: deps.now,
      adopts: deps.adopts,
      dispatch: (taskID, event) => this.dispatch(taskID, event),
      open: (child) => this.open(child),
      askStatuses: () => deps.onEffect({ type: "ask-statuses" }),
      askSession: (sessionID) => deps.onEffect({ type: "ask-session", sessionID }),
    });
  }

  /** Sorts one host event to the tasks that it concerns. */
  receive(event: HostEvent): void {
    this.sessions.receive(event);
  }

  /** From now on every child of this root is a task, also one that already works. */
  watch(rootID: string): void {
    this.sessions.watch(rootID);
  }

  unwatch(rootID: string): void {
    this.sessions.unwatch(rootID);
  }

  /** The one write point for an existing record. */
  dispatch(taskID: string, event: TaskEvent): void {
    const before = this.records.get(taskID);
    if (before === undefined) return;
    const context = this.contextOf(before);
    const { task, effects } = transition(before, event, context);
    if (task.run.number > before.run.number) this.endRun(before, context);
    if (task !== before) this.write(before, task, event.type);
    for (const effect of effects) this.deps.onEffect(effect);
  }

  /** Opens the record of a child that was made for a task: it waits for a slot. */
  launch(rootID: string, { prompt, promptID, launch, ...child }: NewTask): void {
    if (this.records.has(child.id)) return;
    const { id, parentID, title, createdAt } = child;
    this.tree.see({ id, parentID, title, createdAt, archived: false, metadata: {} });
    const run = { number: 1, startedAt: this.deps.now(), promptID };
    const { runner } = this.deps;
    this.write(
      undefined,
      { ...child, rootID, origin: "launched", launch, run, runner, status: "queued", waits: { for: "slot", prompt } },
      "launched",
    );
  }

  /** Somebody waits for a record, or lets go of it. `by`: the session that does, if it is one. */
  attach(taskID: string, by: string | undefined, attached: boolean): void {
    this.attachments++;
    this.attached.add(taskID, attached ? 1 : -1);
    if (by !== undefined) this.waiters.add(by, attached ? 1 : -1);
  }

  /** Who is told how a task ended: its parent, or the nearest session above it that is still live; at last the root. */
  readerOf({ parentID, rootID }: Task): string {
    let current = parentID;
    for (let depth = 0; depth < DEEPEST_CHAIN && current !== rootID; depth++) {
      const above = this.records.get(current);
      if (above !== undefined && isLive(above)) return current;
      current = above?.parentID ?? this.tree.get(current)?.parentID ?? rootID;
    }
    return rootID;
  }

  /** A record holds one outcome: an earlier one that nobody has told by now never will be. */
  private endRun(before: Task, context: TransitionContext): void {
    this.signs.dropText(before.id);
    if (!isEnded(before) || before.delivery.state !== "pending") return;
    const reason = "another run began before it was told";
    const { task } = transition(before, { type: "undelivered", run: before.run.number, reason }, context);
    this.write(before, task, "undelivered");
  }

  /** Lets every deadline that has passed act, and removes records whose query window is over. */
  tick(): void {
    const now = this.deps.now();
    if (this.sessions.deadline() <= now) this.sessions.tick();
    if (this.recordsDeadline() > now) return;
    for (const task of [...this.records.all()]) {
      if (taskDeadline(task) <= now) this.dispatch(task.id, { type: "clock" });
      const record = this.records.get(task.id);
      if (record !== undefined && this.cleanupAt(record) <= now) this.write(record, undefined, "cleanup");
    }
  }

  /** The earliest moment at which {@link tick} has something to do. */
  deadline(): number {
    return Math.min(this.recordsDeadline(), this.sessions.deadline());
  }

  /** Sessions that are no tasks and have come to rest unheard. `working`: what the host shows as working. */
  resting(working: { has(sessionID: string): boolean }): readonly string[] {
    return this.sessions.resting(working);
  }

  private recordsDeadline(): number {
    // Between two changes of the books it stays what it is.
    if (this.earliest?.version === this.version) return this.earliest.at;
    let at = Number.POSITIVE_INFINITY;
    for (const task of this.records.all()) at = Math.min(at, taskDeadline(task), this.cleanupAt(task));
    this.earliest = { version: this.version, at };
    return at;
  }

  /** Rises with every change of the books. */
  get version(): number {
    return this.records.version + this.attachments;
  }

  get isAnyWaiting(): boolean {
    return this.records.isAnyWaiting;
  }

  /** Takes records back from stored state, before any event about them. */
  restore(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (!this.records.has(task.id)) this.write(undefined, task, "restored");
    }
  }

  get(taskID: string): Task | undefined {
    return this.records.get(taskID);
  }

  /** The tasks that count for a root, nested ones included, oldest first. */
  of(rootID: string): readonly Task[] {
    return this.records.of(rootID);
  }

  /** Tasks of this instance that wait for a slot, first come first. */
  waiting(): readonly Task[] {
    return this.records.waiting().filter((task) => this.isOurs(task));
  }

  /** Tasks of this instance that have a slot. One that waits for others lets them have it. */
  seated(): readonly Task[] {
    return this.records.seated().filter((task) => this.isOurs(task) && !this.waiters.has(task.id));
  }

  /** Live tasks that nobody has heard of for a while; one status call answers for all of them. */
  silent(): readonly Task[] {
    const now = this.deps.now();
    return [...this.records.all()].filter(
      (task) =>
        this.isOurs(task) &&
        ((task.status === "queued" && task.waits.for === "sign") ||
          (task.status === "queued" && task.waits.for === "turn" && this.isBusy(task.id)) ||
          (task.status === "running" && task.observed.kind === "alive")) &&
        now >= Math.max(this.signs.lastAt(task.id) + SILENCE_MS, task.run.startedAt + QUIET_START_MS),
    );
  }

  /** The status list shows a task, or omits it. */
  statusRead(taskID: string, shown: boolean): void {
    // Its idle was missed.
    if (!shown) this.tree.setBusy(taskID, false);
    this.dispatch(taskID, { type: "status-read", shown });
  }

  /** Records, followed sessions and known sessions; all zero once everything ended and the windows are over. */
  get sizes(): { tasks: number; signs: number; roots: number } {
    return { tasks: this.records.size, signs: this.signs.size, roots: this.records.roots };
  }

  private isBusy(sessionID: string): boolean {
    return this.tree.get(sessionID)?.busy === true;
  }

  private isOurs(task: Task): boolean {
    return task.runner === this.deps.runner;
  }

  private cleanupAt(task: Task): number {
    return this.attached.has(task.id) ? Number.POSITIVE_INFINITY : cleanupAt(task, this.deps.timing);
  }

  private contextOf(task: Task): TransitionContext {
    return {
      now: this.deps.now(),
      timing: this.deps.timing,
      lastSignAt: Math.max(this.signs.lastAt(task.id), task.run.startedAt),
      runsElsewhere: !this.isOurs(task),
      isBusy: this.isBusy(task.id),
      parentIsBusy: this.isBusy(task.parentID),
      toolRuns: this.signs.toolRuns(task.id),
      hasOwnWork: () => this.hasOwnWork(task.id),
    };
  }

  /** A child that somebody else has made. */
  private open(child: NoticedChild): void {
    const now = this.deps.now();
    const { callID, ...task } = child;
    const run = { number: 1, startedAt: now, ...(callID === undefined ? {} : { callID }) };
    const waits = { for: "sign", askAt: now + QUIET_START_MS } as const;
    this.write(undefined, { ...task, run, runner: this.deps.runner, status: "queued", waits }, "noticed");
  }

  /** Something of its own will still wake it: live tasks, or outcomes that it is to be told or has not answered. */
  private hasOwnWork(taskID: string): boolean {
    return this.records.childrenOf(taskID).some((task) => {
      if (isLive(task)) return true;
      const { delivery } = task;
      return delivery.state === "pending" || (delivery.state === "delivered" && delivery.sessionID === taskID);
    });
  }

  private write(before: Task | undefined, after: Task | undefined, event: TaskChange["event"]): void {
    const record = after ?? before;
    if (record === undefined) return;
    if (after === undefined) {
      this.records.remove(record);
      this.signs.unfollow(record.id);
      this.sessions.forgetEnded(record.id);
    } else {
      this.records.put(after);
      this.signs.follow(record.id, this.deps.now());
      if (isEnded(after) && (before === undefined || isLive(before))) this.knowPrompt(after);
    }
    this.deps.onChange({ before, after, event });
    if (before !== undefined && isLive(before) && after !== undefined && isEnded(after)) this.readerEnded(after.id);
    this.ownWorkChanged(record);
  }

  /** What is written in its session from now on belongs to no run that has ended, also when nobody here has heard its prompt. */
  private knowPrompt({ id, run: { promptID, startedAt } }: Task): void {
    if (promptID !== undefined) this.order.known(id, promptID, startedAt);
  }

  /** What was told to a task and not answered by it has to be told to somebody above. */
  private readerEnded(taskID: string): void {
    for (const task of this.records.deliveredTo(taskID)) {
      if (task.id !== taskID) this.dispatch(task.id, { type: "reader-ended" });
    }
  }

  /** A task that waits for tasks of its own is looked at when the last of them is over. */
  private ownWorkChanged({ parentID, rootID }: Task): void {
    const parent = parentID === rootID ? undefined : this.records.get(parentID);
    if (parent?.status !== "running" || parent.observed.kind !== "awaits-own") return;
    if (!this.hasOwnWork(parentID)) this.dispatch(parentID, { type: "own-work-over" });
  }
}
