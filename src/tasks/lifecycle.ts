import {
  type Delivery,
  type EndedTask,
  HOST_TELLS_WITHIN_MS,
  isEnded,
  type LiveTask,
  type Origin,
  type Outcome,
  QUIET_START_MS,
  type Run,
  SILENCE_MS,
  type Task,
  type TaskTiming,
  type TerminalStatus,
} from "./task.ts";

/** What a task keeps through all its states. */
export function base(task: LiveTask) {
  const { id, parentID, rootID, origin, title, createdAt, run, runner, interruptedAt, launch } = task;
  return {
    id,
    parentID,
    rootID,
    origin,
    title,
    createdAt,
    run,
    runner,
    ...(interruptedAt === undefined ? {} : { interruptedAt }),
    ...(launch === undefined ? {} : { launch }),
  };
}

export function isNative(task: Task): boolean {
  return task.origin === "foreground" || task.origin === "background";
}

/** Whatever was doubted: it works. */
export function alive(task: LiveTask, now: number, timing: TaskTiming): LiveTask {
  if (task.status === "running" && task.observed.kind === "alive") return task;
  const askAt = Math.min(firstAskAt(task.run, now), staleAt(task, now, timing));
  return { ...base(task), status: "running", observed: { kind: "alive", askAt } };
}

/** When a task that we launched is given up if nothing is heard of it after `heardAt`. */
export function staleAt(task: LiveTask, heardAt: number, timing: TaskTiming): number {
  const isOurs = task.origin === "launched" && timing.staleMs > 0;
  return isOurs ? heardAt + timing.staleMs : Number.POSITIVE_INFINITY;
}

function firstAskAt(run: Run, now: number): number {
  return Math.max(run.startedAt + QUIET_START_MS, now + SILENCE_MS);
}

/** The next run of the same record: fresh clocks, and nothing of the earlier run's end. */
export function nextRun(
  task: EndedTask,
  origin: Origin,
  how: { callID?: string; promptID?: string },
  now: number,
): Task {
  const { outcome: _outcome, delivery: _delivery, endedAt: _endedAt, interruptedAt: _interrupted, ...record } = task;
  const run: Run = { number: task.run.number + 1, startedAt: now, ...how };
  return { ...record, origin, run, status: "queued", waits: { for: "sign", askAt: firstAskAt(run, now) } };
}

/** The one way to end a task without somebody having told it: the outcome becomes pending for its reader. */
export function settle(task: LiveTask, status: TerminalStatus, outcome: Outcome, now: number): EndedTask {
  return end(task, status, outcome, reader(task, now), now);
}

/** Ends a task whose outcome somebody has told already. */
export function end(
  task: LiveTask,
  status: TerminalStatus,
  outcome: Outcome,
  delivery: Delivery,
  now: number,
): EndedTask {
  return { ...base(task), status, endedAt: now, outcome, delivery };
}

function reader(task: LiveTask, now: number): Delivery {
  switch (task.origin) {
    case "foreground":
    case "background": {
      // The host tells nothing about an aborted child; about an idle one it may be telling just now.
      const isHosts = task.status === "queued" || (task.status === "running" && task.observed.kind !== "aborted");
      const since = task.status === "running" && task.observed.kind === "idle" ? task.observed.since : now;
      const until = since + HOST_TELLS_WITHIN_MS;
      return isHosts && until > now
        ? { state: "pending", teller: "host", until }
        : { state: "pending", teller: "goalkeeper" };
    }
    case "launched":
      return { state: "pending", teller: "goalkeeper" };
    case "adopted":
      return { state: "pending", teller: "maker", until: now + HOST_TELLS_WITHIN_MS };
  }
}

/** Moves the delivery of a run on, if it is in one of the states `from`. */
export function deliver(task: Task, run: number, from: readonly Delivery["state"][], delivery: Delivery): Task {
  if (!isEnded(task) || task.run.number !== run || !from.includes(task.delivery.state)) return task;
  return { ...task, delivery };
}

export function reconcile(task: Task, run: number): Task {
  if (!isEnded(task) || task.run.number !== run || task.delivery.state !== "delivered") return task;
  return { ...task, delivery: { state: "reconciled", at: task.delivery.at } };
}
