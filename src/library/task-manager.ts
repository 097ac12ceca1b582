import type { Answer, HostPort, TranscriptMessage, Usage } from "../host/port.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { Observation } from "../keeper/messages.ts";
import type { TaskChange } from "../tasks/background-task-manager.ts";
import { LaunchError, type Launcher, type LaunchRequest, type ResumeRequest } from "../tasks/launcher.ts";
import { readRun } from "../tasks/outcome.ts";
import { type EndedTask, HOST_TELLS_WITHIN_MS, isEnded, isLive, type Task } from "../tasks/task.ts";
import type { Clock } from "../time/clock.ts";

/** A task, and what is known of it beside its record. */
export interface TaskView {
  readonly task: Task;
  /** 1 for the next one to get a slot of its model; 0 if it does not wait for one. */
  readonly queuePosition: number;
  /** When anything was last heard of it; epoch ms. */
  readonly lastSignAt: number;
  /** Whether one of its tool calls is under way: then silence means nothing. */
  readonly toolRuns: boolean;
  readonly usage: Usage;
}

/** What a task has said. */
export interface TaskOutput {
  readonly taskID: string;
  /** Undefined once the query window is over: then the child's own session answers. */
  readonly task: Task | undefined;
  readonly status: Task["status"] | "unfinished";
  /** The result of an ended task; of any other the last that it has said. At most the last 32 KB. */
  readonly text: string;
  readonly error?: string | undefined;
  readonly reason?: string | undefined;
  readonly usage: Usage;
}

/** Something that a root still waits for. */
export interface Owed {
  readonly task: Task;
  /** `live`: it works or is about to. `untold`: nobody was told how it ended. `unanswered`: its reader has not answered. */
  readonly why: "live" | "untold" | "unanswered";
}

/** Nobody knows the task: there is no record, and OpenCode has no such session, or did not answer. */
export class TaskNotFoundError extends Error {
  override readonly name = "TaskNotFoundError";

  constructor(
    readonly taskID: string,
    reason: string,
  ) {
    super(`There is no task ${taskID}: ${reason}.`);
  }
}

export interface TaskManagerDependencies {
  readonly clock: Clock;
  readonly keeper: Keeper;
  readonly launcher: Launcher;
  readonly host: Pick<HostPort, "transcript" | "log">;
  /** Feeds an event of the host. */
  readonly receive: (event: { readonly type: string; readonly properties?: unknown }) => void;
  readonly onDispose: () => void;
}

/**
 * Background tasks of one OpenCode directory: launched, watched, told to their parent, read, resumed, never lost. The
 * plugin's own tools use nothing else.
 */
export class TaskManager {
  private readonly listeners = new Set<(change: TaskChange) => void>();
  /** Ends each {@link wait} that is under way. */
  private readonly waits = new Set<() => void>();

  constructor(private readonly deps: TaskManagerDependencies) {}

  /**
   * Feeds an event of OpenCode: call it from your plugin's `event` hook, for every event. Cheap for events of no use;
   * never throws.
   *
   * @example event: async ({ event }) => tasks.event(event)
   */
  event(event: { readonly type: string; readonly properties?: unknown }): void {
    try {
      this.deps.receive(event);
    } catch (error) {
      this.deps.host.log("error", `goalkeeper: the event ${event.type} could not be handled`, {
        error: String(error),
      });
    }
  }

  /**
   * Makes a child session and prompts it as soon as there is a slot for its model.
   *
   * @throws LaunchError when it is refused (unknown agent or model, nested too deep) or OpenCode does not answer
   * @example const task = await tasks.launch({ parentID, description: "tests", prompt: "Run the tests" });
   */
  launch(request: LaunchRequest): Promise<Task> {
    return this.isDisposed ? Promise.reject(new LaunchError(DISPOSED)) : this.deps.launcher.launch(request);
  }

  /**
   * Goes on with an ended task: the next run of the same record, in the same session.
   *
   * @returns `earlier`: the outcome of the run before, if nobody had been told it yet. Nobody will be told it any more:
   * hand it over with the answer
   * @throws LaunchError when it is refused or OpenCode does not answer; then the record is as it was
   */
  resume(request: ResumeRequest): Promise<{ readonly task: Task; readonly earlier: EndedTask | undefined }> {
    return this.isDisposed ? Promise.reject(new LaunchError(DISPOSED)) : this.deps.launcher.resume(request);
  }

  /** The record of a task; undefined if there is none, or not any more. */
  get(taskID: string): Task | undefined {
    return this.deps.keeper.manager.get(taskID);
  }

  /** The tasks of a root session, nested ones included, oldest first. */
  list(rootID: string): readonly TaskView[] {
    const { keeper } = this.deps;
    const positions = keeper.queuePositions();
    return keeper.tasks(rootID).map((task) => this.view(task, positions));
  }

  /** A task, and what is known of it beside its record. */
  view(task: Task, positions = this.deps.keeper.queuePositions()): TaskView {
    const { signs } = this.deps.keeper.manager;
    return {
      task,
      queuePosition: positions.get(task.id) ?? 0,
      lastSignAt: Math.max(signs.lastAt(task.id), task.run.startedAt),
      toolRuns: isLive(task) && signs.toolRuns(task.id),
      usage: (isEnded(task) ? task.outcome.usage : undefined) ?? signs.usage(task.id),
    };
  }

  /**
   * What a task has said. Reading takes nothing away, and an id outlives its record: later its session answers.
   *
   * @throws TaskNotFoundError when there is neither a record nor a session, or OpenCode does not answer
   */
  async output(taskID: string): Promise<TaskOutput> {
    const task = this.get(taskID);
    if (task !== undefined && isEnded(task) && task.outcome.text !== undefined)
      return endedOutput(task, this.view(task).usage);
    const transcript = await this.deps.host.transcript(taskID);
    const now = this.get(taskID) ?? task;
    if (transcript.kind !== "known") {
      if (now === undefined) throw new TaskNotFoundError(taskID, whyNot(transcript));
      const usage = this.view(now).usage;
      if (isEnded(now)) return endedOutput(now, usage);
      const text = this.deps.keeper.manager.signs.text(taskID) ?? "";
      return { taskID, task: now, status: now.status, text, usage };
    }
    const reading = readRun(transcript.value, now?.run ?? { number: 1, startedAt: 0 });
    const { text, usage } = reading;
    if (now !== undefined && isEnded(now)) return { ...endedOutput(now, usage), text: now.outcome.text ?? text };
    if (now !== undefined) return { taskID, task: now, status: now.status, text, usage };
    const error = reading.kind === "failed" ? reading.error.message : undefined;
    return { taskID, task: undefined, status: STATUS_OF[reading.kind], text, usage, error };
  }

  /**
   * The whole transcript of a task, oldest first.
   *
   * @throws TaskNotFoundError when OpenCode has no such session, or does not answer
   */
  async transcript(taskID: string): Promise<readonly TranscriptMessage[]> {
    const transcript = await this.deps.host.transcript(taskID);
    if (transcript.kind !== "known") throw new TaskNotFoundError(taskID, whyNot(transcript));
    return transcript.value;
  }

  /**
   * Waits until a task has ended, `timeoutMs` have passed, `signal` aborts or the manager is disposed. Meanwhile its
   * record stays, and a task that waits for others (`callerID`) needs no slot.
   *
   * @returns the record as it is then; undefined if there is none
   */
  async wait(
    taskID: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined; readonly callerID?: string },
  ): Promise<Task | undefined> {
    const before = this.get(taskID);
    if (before === undefined || isEnded(before) || options.signal?.aborted === true || this.isDisposed) return before;
    const { keeper } = this.deps;
    const attach = (attached: boolean) =>
      keeper.dispatch({ type: "attached", rootID: before.rootID, taskID, by: options.callerID, attached });
    attach(true);
    await this.until(taskID, isEnded, options);
    const after = this.get(taskID);
    attach(false);
    return after;
  }

  /**
   * Ends a task, and the tasks that it has launched. Its record has ended at once; the answer comes when what it has
   * said so far was read, after 2 s at the latest.
   *
   * @returns the record; undefined if there is none. One that had ended before is as it was.
   */
  async cancel(taskID: string, reason = "it was cancelled"): Promise<Task | undefined> {
    const task = this.get(taskID);
    if (task === undefined || isEnded(task)) return task;
    this.deps.keeper.dispatch({ type: "cancel", rootID: task.rootID, taskID, reason });
    await this.until(taskID, (changed) => !isBeingRead(changed), { timeoutMs: HOST_TELLS_WITHIN_MS });
    return this.get(taskID);
  }

  /** Ends every live background task that a session has launched, and those that are still being created for it; as {@link cancel}. */
  async cancelAll(parentID: string, reason = "it was cancelled"): Promise<readonly Task[]> {
    const { keeper } = this.deps;
    const rootID = keeper.rootOf(parentID);
    if (this.deps.launcher.isLaunchingFor(parentID)) keeper.dispatch({ type: "launches-stopped", rootID, parentID });
    const live = keeper.tasks(rootID).filter((task) => task.parentID === parentID && isLive(task) && isOwn(task));
    const ended = await Promise.all(live.map((task) => this.cancel(task.id, reason)));
    return ended.flatMap((task) => task ?? []);
  }

  /** Says that the outcome of a run was handed to a session as a tool result: nobody is told it again. */
  handedOver(task: EndedTask, to: { readonly sessionID: string; readonly messageID: string }): void {
    const { id: taskID, rootID, run } = task;
    if (this.deps.keeper.manager.readerOf(task) !== to.sessionID) return;
    this.deps.keeper.dispatch({
      type: "read",
      rootID,
      taskID,
      run: run.number,
      sessionID: to.sessionID,
      messageID: to.messageID,
    });
  }

  /**
   * Calls `listener` for every change of a record, in order, while it happens: `after` is undefined when a record goes.
   *
   * @returns the end of the subscription
   * @example const stop = tasks.subscribe(({ after }) => after?.status === "failed" && report(after));
   */
  subscribe(listener: (change: TaskChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What a root session still waits for, oldest first. Empty: nothing of its tasks is under way. */
  owed(rootID: string): readonly Owed[] {
    return this.deps.keeper.tasks(rootID).flatMap((task): readonly Owed[] => {
      if (isLive(task)) return [{ task, why: "live" }];
      if (task.delivery.state === "pending") return [{ task, why: "untold" }];
      return task.delivery.state === "delivered" ? [{ task, why: "unanswered" }] : [];
    });
  }

  /** Stops: no event, timer or call after it. What is under way is found again by the next manager. */
  dispose(): void {
    for (const end of [...this.waits]) end();
    this.listeners.clear();
    this.deps.onDispose();
  }

  /** Ends when the record is so, or is gone, when the time is over, when `signal` aborts, or with the manager. */
  private until(
    taskID: string,
    isSo: (task: Task) => boolean,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<void> {
    const isOver = () => {
      const task = this.get(taskID);
      return task === undefined || isSo(task);
    };
    if (isOver()) return Promise.resolve();
    return new Promise<void>((resolve) => {
      const done = () => {
        cancel();
        unsubscribe();
        this.waits.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.deps.clock.after(timeoutMs, done);
      const unsubscribe = this.subscribe(({ before, after }) => {
        if ((after ?? before)?.id === taskID && isOver()) done();
      });
      signal?.addEventListener("abort", done, { once: true });
      this.waits.add(done);
    });
  }

  private get isDisposed(): boolean {
    return this.deps.keeper.isDisposed;
  }

  /** What the books see. A listener that throws is its author's to mend, and must not end the change. */
  observed(observation: Observation): void {
    if (observation.type !== "task") return;
    for (const listener of [...this.listeners]) {
      try {
        listener(observation.change);
      } catch (error) {
        this.deps.host.log("error", "goalkeeper: a subscriber failed", { error: String(error) });
      }
    }
  }
}

const DISPOSED = "The task manager was disposed.";

/** What a session has launched in the background: a foreground call ends by itself, and what others made is theirs. */
export function isOwn({ origin }: Task): boolean {
  return origin === "launched" || origin === "background";
}

function isBeingRead(task: Task): boolean {
  return isEnded(task) && task.delivery.state === "pending" && task.delivery.teller === "host";
}

const STATUS_OF = { finished: "completed", failed: "failed", aborted: "cancelled", unfinished: "unfinished" } as const;

function endedOutput(task: EndedTask, usage: Usage): TaskOutput {
  const { outcome, status } = task;
  const { text = "", error, reason } = outcome;
  return { taskID: task.id, task, status, text, error: error?.message, reason, usage };
}

function whyNot(answer: Exclude<Answer<unknown>, { kind: "known" }>): string {
  return answer.kind === "gone" ? "OpenCode has no such session" : `OpenCode did not answer (${answer.reason})`;
}
