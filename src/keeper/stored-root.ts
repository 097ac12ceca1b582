import type { Message } from "../delivery/outbox.ts";
import type { Goal } from "../goals/goal.ts";
import { base } from "../tasks/lifecycle.ts";
import { isEnded, type Task } from "../tasks/task.ts";

/** Who keeps the books of a root: a plugin instance in a process on a host. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Tells two processes with the same pid apart; epoch ms or the host's own ticks, only compared. */
  readonly processStartedAt: number;
  /** The plugin instance: a reload makes a new one in the same process. */
  readonly instance: string;
}

/** A reload makes another instance of the same process. */
export function isSameProcess(one: Owner, other: Owner): boolean {
  return one.host === other.host && one.pid === other.pid && one.processStartedAt === other.processStartedAt;
}

/** A task without what can be read again from its session. */
export type TaskStub = Task;

/** A message that was reserved and perhaps sent, without its text: the session has it, or nobody does. */
export type ReservedMessage = Omit<Message, "text">;

/** What survives a `kill -9`: kept in the root session's own metadata, never in a file. */
export interface StoredRoot {
  readonly version: 1;
  /** The root's own session id. A fork copies metadata: a copy that names another session is ignored. */
  readonly self: string;
  readonly owner: Owner;
  /** Rises when another process or instance takes the root over: the higher claim owns it. */
  readonly claim: number;
  /** Rises with each write of its owner. */
  readonly revision: number;
  readonly goal?: Goal | undefined;
  readonly reserved?: ReservedMessage | undefined;
  readonly tasks: readonly TaskStub[];
}

/** More stubs than this are never stored: the oldest settled ones go first, a live or pending one never does. */
export const MOST_STUBS = 200;

export function stubs(tasks: readonly Task[]): readonly TaskStub[] {
  const kept = tasks.map(stub);
  const excess = kept.length - MOST_STUBS;
  if (excess <= 0) return kept;
  const evictable = kept.filter(
    (task) => isEnded(task) && task.delivery.state !== "pending" && task.delivery.state !== "delivered",
  );
  const gone = new Set(evictable.slice(0, excess));
  return kept.filter((task) => !gone.has(task));
}

/** Records are values: what was made of one is kept as long as the record. */
const made = new WeakMap<Task, { readonly stub: TaskStub; readonly text: string }>();

/** Only what a transition changes: an observation or a deadline that moves is not worth a write. */
export function stub(task: Task): TaskStub {
  return madeOf(task).stub;
}

/** Two records with the same text are the same in the store; "" stands for none. */
export function durableOf(task: Task | undefined): string {
  return task === undefined ? "" : madeOf(task).text;
}

function madeOf(task: Task) {
  const known = made.get(task);
  if (known !== undefined) return known;
  const stub = newStub(task);
  const entry = { stub, text: JSON.stringify(stub) };
  made.set(task, entry);
  return entry;
}

function newStub(task: Task): TaskStub {
  if (isEnded(task)) {
    const { text: _text, ...outcome } = task.outcome;
    return { ...task, outcome };
  }
  return { ...base(task), status: "queued", waits: isUnsent(task) ? { for: "slot" } : { for: "sign", askAt: 0 } };
}

/** After a restart it is started, once its transcript has shown that the prompt is not there. */
export function isUnsent(task: Task): boolean {
  return task.status === "queued" && task.waits.for !== "sign";
}
