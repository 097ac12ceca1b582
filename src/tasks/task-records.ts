import { byCreation } from "./outcome.ts";
import { type Delivery, type EndedTask, isEnded, isSeated, isWaiting, type Task } from "./task.ts";

/** The records and what is looked up in them. It decides nothing. */
export class TaskRecords {
  private readonly tasks = new Map<string, Task>();
  private readonly byRoot = new Map<string, Set<string>>();
  /** The answers of {@link of}, until a record of that root changes: the gate asks several times per event. */
  private readonly listed = new Map<string, readonly Task[]>();
  /** In the order in which they came. */
  private readonly waitingIDs = new Set<string>();
  private readonly seatedIDs = new Set<string>();
  private changes = 0;

  /** @param above the root of a session that has no record itself; undefined where that is not known */
  constructor(private readonly above: (sessionID: string) => string | undefined) {}

  get(taskID: string): Task | undefined {
    return this.tasks.get(taskID);
  }

  has(taskID: string): boolean {
    return this.tasks.has(taskID);
  }

  hasRoot(rootID: string): boolean {
    return this.byRoot.has(rootID);
  }

  /** May change while it is walked: a record that is removed meanwhile is left out. */
  all(): Iterable<Task> {
    return this.tasks.values();
  }

  /** The tasks that count for a root, nested ones included, oldest first. */
  of(rootID: string): readonly Task[] {
    const known = this.listed.get(rootID);
    if (known !== undefined) return known;
    const ids = this.byRoot.get(rootID);
    if (ids === undefined) return [];
    const tasks = this.read(ids).sort(byCreation);
    this.listed.set(rootID, tasks);
    return tasks;
  }

  /** The tasks of one session, itself a root or a task, oldest first. */
  childrenOf(parentID: string): readonly Task[] {
    return this.of(this.rootOf(parentID)).filter((task) => task.parentID === parentID);
  }

  /** Ended tasks that a session was told about and has not answered. */
  deliveredTo(sessionID: string): readonly DeliveredTask[] {
    return this.of(this.rootOf(sessionID))
      .filter(isDelivered)
      .filter((task) => task.delivery.sessionID === sessionID);
  }

  /** Those that wait for a slot, first come first. */
  waiting(): readonly Task[] {
    return this.read(this.waitingIDs);
  }

  /** Those that have a slot. */
  seated(): readonly Task[] {
    return this.read(this.seatedIDs);
  }

  get isAnyWaiting(): boolean {
    return this.waitingIDs.size > 0;
  }

  put(task: Task): void {
    const before = this.tasks.get(task.id);
    this.changes++;
    this.tasks.set(task.id, task);
    mark(this.waitingIDs, task.id, isWaiting(task));
    mark(this.seatedIDs, task.id, isSeated(task));
    const siblings = this.byRoot.get(task.rootID);
    if (siblings === undefined) this.byRoot.set(task.rootID, new Set([task.id]));
    else siblings.add(task.id);
    // Whoever holds the list as it was keeps it: lists are values, too.
    const known = this.listed.get(task.rootID);
    if (known === undefined) return;
    if (before === undefined) this.listed.delete(task.rootID);
    else this.listed.set(task.rootID, known.with(known.indexOf(before), task));
  }

  remove({ id, rootID }: Task): void {
    this.changes++;
    this.listed.delete(rootID);
    this.tasks.delete(id);
    this.waitingIDs.delete(id);
    this.seatedIDs.delete(id);
    const siblings = this.byRoot.get(rootID);
    siblings?.delete(id);
    if (siblings?.size === 0) this.byRoot.delete(rootID);
  }

  /** Rises with every change. */
  get version(): number {
    return this.changes;
  }

  get size(): number {
    return this.tasks.size;
  }

  get roots(): number {
    return this.byRoot.size;
  }

  private rootOf(sessionID: string): string {
    return this.tasks.get(sessionID)?.rootID ?? this.above(sessionID) ?? sessionID;
  }

  private read(ids: ReadonlySet<string>): Task[] {
    return [...ids].flatMap((id) => this.tasks.get(id) ?? []);
  }
}

export type DeliveredTask = EndedTask & { readonly delivery: Extract<Delivery, { state: "delivered" }> };

export function isDelivered(task: Task): task is DeliveredTask {
  return isEnded(task) && task.delivery.state === "delivered";
}

/** One that is there already keeps its place. */
function mark(ids: Set<string>, id: string, isIn: boolean): void {
  if (isIn) ids.add(id);
  else ids.delete(id);
}
