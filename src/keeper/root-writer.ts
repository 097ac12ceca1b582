import type { Goal } from "../goals/goal.ts";
import type { Task } from "../tasks/task.ts";
import type { Effect, Saved } from "./messages.ts";
import type { RootStorage } from "./root-storage.ts";
import { type Owner, type ReservedMessage, type StoredRoot, stubs } from "./stored-root.ts";

export interface RootWriterContext {
  readonly rootID: string;
  readonly owner: Owner;
  readonly storage: RootStorage;
  readonly now: () => number;
  readonly nextRevision: () => number;
  readonly perform: (effect: Effect) => void;
}

/** The books of one root, as they are to be written. */
export interface RootBooks {
  readonly goal: Goal | undefined;
  readonly reserved: ReservedMessage | undefined;
  readonly tasks: readonly Task[];
}

/** Writes the books of one root under the claim of this instance, and knows which runs of its tasks stand in them. */
export class RootWriter {
  private claim = 1;
  /** Of the last write that has landed, and the tasks of the one under way. */
  private writtenRuns: ReadonlySet<string> = new Set();
  private beingWritten: readonly Task[] = [];
  /** Of the last write that has begun. */
  private goal: Goal | undefined;

  constructor(private readonly context: RootWriterContext) {}

  /** 0 while nothing of it is stored. */
  get claimed(): number {
    return this.context.storage.isPresent ? this.claim : 0;
  }

  /** Whether the present run of a task stands in the store. */
  has(task: Task): boolean {
    return this.writtenRuns.has(runKey(task));
  }

  /** Whether a goal stands in the store as it is, or is on its way there. */
  hasGoal(goal: Goal | undefined): boolean {
    return this.goal === goal;
  }

  /** Whether a claim is not older than ours: the user may have gone on elsewhere, and be back here since. */
  isOvertakenBy(claim: number): boolean {
    return claim >= this.claim;
  }

  /** The books were read, and are taken over. */
  takeOver(stored: StoredRoot): void {
    this.claim = stored.claim + 1;
    this.goal = stored.goal;
    this.context.storage.wasRead();
    this.writtenRuns = new Set(stored.tasks.map(runKey));
  }

  write({ goal, reserved, tasks }: RootBooks): void {
    const { rootID, owner, storage, now, nextRevision, perform } = this.context;
    const revision = nextRevision();
    const { claim } = this;
    storage.begin(revision, reserved?.id, now());
    this.beingWritten = tasks;
    this.goal = goal;
    const stored: StoredRoot = {
      version: 1,
      self: rootID,
      owner,
      claim,
      revision,
      goal,
      reserved,
      tasks: stubs(tasks),
    };
    perform({ type: "save", rootID, revision, stored });
  }

  /** Takes the answer of a write; undefined if it is not the one that is waited for. */
  written(revision: number, result: Exclude<Saved, { kind: "gone" }>): { readonly failures: number } | undefined {
    const ended = this.context.storage.end(revision, result, this.context.now());
    if (ended !== undefined && result.kind !== "failed") this.writtenRuns = new Set(this.beingWritten.map(runKey));
    return ended;
  }
}

/** A record that was removed and made anew counts its runs from one again: the prompt tells them apart. */
function runKey({ id, run }: Task): string {
  return `${id} ${run.promptID ?? run.number}`;
}
