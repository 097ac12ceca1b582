import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import { admit, type ConcurrencyLimit, queuePositions, type Seat } from "../tasks/slots.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
import type { Input } from "./messages.ts";

export interface TaskDeskContext {
  readonly now: () => number;
  readonly manager: BackgroundTaskManager;
  readonly concurrency: ConcurrencyLimit;
  /** This instance, as it stands in the tasks that it runs. */
  readonly runner: string;
  /** Roots in which nothing starts by itself. */
  readonly asleep: () => ReadonlySet<string>;
  /** Sessions in which messages are undone: a prompt would delete them for good. */
  readonly undone: () => ReadonlySet<string>;
  /** Whether a run stands in the store: a prompt goes out only when a process after this one would know of it. */
  readonly isWritten: (task: Task) => boolean;
  /** What has slots and is not in these books. */
  readonly seatsBeside?: () => readonly Seat[];
}

const INTERRUPTED = "the user interrupted";
const PARENT_CANCELLED = "the task that it belongs to was cancelled";
const STOPPED = "it was cancelled while it was being created";
/** A launch takes no longer: after that nobody asks whether it was stopped. */
const LAUNCHES_WITHIN_MS = 60_000;

/** What is asked for about tasks: launched, resumed, cancelled, read, and who may start. */
export class TaskDesk {
  /** When the launches of a session, or below a root, were stopped; the earliest first. */
  private readonly stops = new Map<string, { readonly at: number; readonly why: string }>();
  private admittedFor = "";

  constructor(private readonly context: TaskDeskContext) {}

  /** A child that nobody wants any more by the time it is there gets its record, and no prompt. */
  launched({ rootID, task, requestedAt, stopped }: Extract<Input, { type: "launched" }>): void {
    this.context.manager.launch(rootID, task);
    const unwanted = stopped ?? this.stoppedSince(requestedAt, rootID, task.parentID);
    if (unwanted !== undefined) this.cancel(task.id, unwanted);
  }

  resumed({ rootID, taskID, callerID, requestedAt, ...run }: Extract<Input, { type: "resume" }>): void {
    if (this.stoppedSince(requestedAt, rootID, callerID) !== undefined) return;
    const { launch, messageID, promptID, prompt } = run;
    const before = this.context.manager.get(taskID);
    // Before the next run begins: a record holds one outcome.
    if (messageID !== undefined && before !== undefined && isOpen(before))
      this.read({ type: "read", rootID, taskID, run: before.run.number, sessionID: callerID, messageID });
    this.context.manager.dispatch(taskID, { type: "resume", launch, promptID, prompt, runner: this.context.runner });
  }

  /** What a task has launched goes with it. */
  cancel(taskID: string, reason: string): void {
    const { manager } = this.context;
    const task = manager.get(taskID);
    if (task === undefined) return;
    this.stopLaunches(taskID, PARENT_CANCELLED);
    manager.dispatch(taskID, { type: "cancel", reason, text: manager.signs.text(taskID) });
    for (const below of manager.of(task.rootID)) {
      if (below.parentID === taskID && isLive(below)) this.cancel(below.id, PARENT_CANCELLED);
    }
  }

  /**
   * The user has interrupted a root. OpenCode cancels what its own Task tool made.
   *
   * @param cancels whether what we launched, which is ours to cancel, goes too
   */
  interrupt(rootID: string, cancels: boolean): void {
    const { manager } = this.context;
    if (cancels) this.stopLaunches(rootID, INTERRUPTED);
    for (const task of manager.of(rootID)) {
      if (!isLive(task) || task.origin === "adopted") continue;
      if (task.origin !== "launched") manager.dispatch(task.id, { type: "interrupted" });
      else if (cancels) this.cancel(task.id, INTERRUPTED);
    }
  }

  /**
   * A goal has used too much: what was launched for it ends. What has finished and is only being read does not.
   *
   * @returns those that end
   */
  endLaunched(rootID: string, why: string): readonly Task[] {
    const { manager } = this.context;
    this.stopLaunches(rootID, why);
    const working = manager
      .of(rootID)
      .filter((task) => isLive(task) && task.origin === "launched" && !isFinishing(task));
    for (const { id } of working) this.cancel(id, why);
    return working;
  }

  /** The result of a tool call has told it. */
  read({ taskID, run, sessionID, messageID }: Extract<Input, { type: "read" }>): void {
    this.context.manager.dispatch(taskID, { type: "delivered", run, sessionID, messageID, byTurn: true });
  }

  /** Tasks of this session, or below this root, that are still being made come too late. */
  stopLaunches(sessionID: string, why = STOPPED): void {
    this.stops.delete(sessionID);
    this.stops.set(sessionID, { at: this.context.now(), why });
  }

  /** The earliest moment at which {@link clock} has something to do. */
  get deadline(): number {
    const [first] = this.stops.values();
    return first === undefined ? Number.POSITIVE_INFINITY : first.at + LAUNCHES_WITHIN_MS;
  }

  clock(): void {
    const now = this.context.now();
    for (const [id, { at }] of this.stops) {
      if (at + LAUNCHES_WITHIN_MS > now) return;
      this.stops.delete(id);
    }
  }

  private stoppedSince(requestedAt: number, ...sessionIDs: readonly string[]): string | undefined {
    const since = this.context.now() - LAUNCHES_WITHIN_MS;
    const stops = sessionIDs.flatMap((id) => this.stops.get(id) ?? []);
    // Whether or not the alarm for those that are over has rung by now.
    return stops.find(({ at }) => at >= requestedAt && at > since)?.why;
  }

  /** More of what waits may stand in the store now. */
  written(): void {
    this.admittedFor = "";
  }

  /** Gives free slots to those that wait, first come first. In a sleeping session nothing starts by itself. */
  admitWaiting(): void {
    const { manager, concurrency, isWritten, seatsBeside = noSeats } = this.context;
    if (!manager.isAnyWaiting) return;
    const [asleep, undone] = [this.context.asleep(), this.context.undone()];
    const beside = seatsBeside();
    const changed = `${manager.version} ${[...asleep, ...undone, ...beside.map(({ id }) => id)].join()}`;
    if (changed === this.admittedFor) return;
    const awake = manager.waiting().filter(({ id, rootID }) => !asleep.has(rootID) && !undone.has(id));
    const ready = awake.filter(isWritten);
    const seated = [...manager.seated().map(seatOf), ...beside];
    for (const taskID of admit(ready.map(seatOf), seated, concurrency)) manager.dispatch(taskID, { type: "admitted" });
    this.admittedFor = changed;
  }

  /** The places of the tasks that wait for a slot, by id: 1 for the next one of its model. One that has a slot has none. */
  queuePositions(): ReadonlyMap<string, number> {
    const { manager, concurrency } = this.context;
    if (!manager.isAnyWaiting) return NO_PLACES;
    const waiting = manager.waiting().map(seatOf);
    // These go as soon as they are written down.
    const free = new Set(admit(waiting, manager.seated().map(seatOf), concurrency));
    return queuePositions(
      waiting.filter(({ id }) => !free.has(id)),
      concurrency,
    );
  }
}

/** Its turn is over, and how it ended is being read. */
function isFinishing(task: Task): boolean {
  return task.status === "running" && task.observed.kind === "idle";
}

/** Nobody has its outcome yet, whoever may still tell it. */
function isOpen(task: Task): boolean {
  return isEnded(task) && (task.delivery.state === "pending" || task.delivery.state === "undelivered");
}

const NO_PLACES: ReadonlyMap<string, number> = new Map();

const noSeats = (): readonly Seat[] => [];

function seatOf({ id, launch }: Task): Seat {
  return { id, model: launch?.voice.model };
}
