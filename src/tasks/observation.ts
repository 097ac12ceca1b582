import { duration } from "../time/duration.ts";
import { doubt, type Look, settleMissing } from "./grace-period-pruner.ts";
import { cancelled, notStarted, rejectionOf, type WaitsForTurn } from "./launched-task.ts";
import { alive, base, settle, staleAt } from "./lifecycle.ts";
import { endedByCall, isReturned, worksOn } from "./native-task.ts";
import { keep } from "./outcome.ts";
import {
  type Delivery,
  type EndedTask,
  HOST_TELLS_WITHIN_MS,
  isEnded,
  isLive,
  isWaiting,
  type LiveTask,
  LOOK_AGAIN_MS,
  type MissingTask,
  QUIET_START_MS,
  type QueuedTask,
  RESEND_AFTER_MS,
  type RunningTask,
  SILENCE_MS,
  STARTS_WITHIN_MS,
  STORED_WITHIN_MS,
  type Task,
  type TaskTiming,
  taskDeadline,
} from "./task.ts";
import type { TaskEffect, TaskEvent, Transition, TransitionContext } from "./task-event.ts";

/** What was found when the host was asked about one task. */
export function looked(
  task: Task,
  event: Extract<TaskEvent, { type: "looked" }>,
  context: TransitionContext,
): Transition {
  const { now } = context;
  switch (task.status) {
    case "queued":
      return only(task);
    case "running":
      if (task.observed.kind !== "idle" && task.observed.kind !== "aborted") return only(task);
      return lookedAtIdle({ ...task, observed: task.observed }, event.look, context);
    case "missing":
      if (hasNotBegun(task, event.look)) return startedAgain(task, now);
      return only(lookedAtMissing(task, event, context));
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return only(lookedAtEnded(task, event.look));
  }
}

/** Stored state holds no text, and a task that we cancel is not read before: the child's transcript has it. */
function lookedAtEnded(task: EndedTask, look: Look): Task {
  const isRead = task.outcome.text !== undefined && task.status !== "cancelled";
  if (isRead || look.reading.kind !== "known") return task;
  const { text, usage } = look.reading.value;
  const delivery: Delivery =
    task.delivery.state === "pending" ? { state: "pending", teller: "goalkeeper" } : task.delivery;
  const kept = text === "" ? task.outcome.text : text;
  return { ...task, outcome: { ...task.outcome, ...(kept === undefined ? {} : { text: kept }), usage }, delivery };
}

/** The host has our prompt, or not even that, and no turn began: the wake-up got lost. */
function hasNotBegun(task: LiveTask, { reading, shown }: Look): boolean {
  const isOurs = task.origin === "launched" && task.run.attempt !== undefined;
  if (!isOurs || reading.kind !== "known" || reading.value.kind !== "unfinished" || reading.value.begun) return false;
  return !(shown.kind === "known" && shown.value);
}

/** After a restart it waits its turn like any other: its session may sleep, and others may have the slots. */
function startedAgain(task: MissingTask, now: number): Transition {
  const isSpent = (task.run.attempt ?? 0) > RESEND_AFTER_MS.length;
  if (task.doubt !== "restart" || isSpent) return notStarted(task, undefined, now);
  return only({ ...base(task), status: "queued", waits: { for: "slot" } });
}

type IdleTask = RunningTask & { readonly observed: { readonly kind: "idle" | "aborted" } };

function lookedAtIdle(task: IdleTask, look: Look, context: TransitionContext): Transition {
  const { now, timing } = context;
  if (look.reading.kind !== "known") return only(doubt(task, "idle-unfinished", now, timing));
  const reading = look.reading.value;
  const { text, usage } = reading;
  switch (reading.kind) {
    case "finished":
      if (context.hasOwnWork()) return only({ ...task, observed: { kind: "awaits-own", since: now } });
      return only(settle(task, "completed", { text, usage }, now));
    case "failed":
      return only(settle(task, "failed", { text, usage, error: reading.error }, now));
    case "aborted":
      return only(settle(task, "cancelled", { text, usage, reason: "it was aborted" }, now));
    case "unfinished": {
      // How a turn ended is stored some tens of milliseconds after the first idle.
      const storedBy = task.observed.since + STORED_WITHIN_MS;
      if (now < storedBy) return only({ ...task, observed: { ...task.observed, lookAt: storedBy } });
      const rejection = rejectionOf(task);
      if (rejection !== undefined) return only(settle(task, "failed", { text, usage, error: rejection }, now));
      if (hasNotBegun(task, look)) return notStarted(task, undefined, now);
      return only(doubt(task, "idle-unfinished", now, timing));
    }
  }
}

/** Nothing of its own will wake it any more: what its transcript says is its result. */
export function ownWorkOver(task: Task, now: number): Task {
  if (task.status !== "running" || task.observed.kind !== "awaits-own") return task;
  return { ...task, observed: { kind: "idle", since: task.observed.since, lookAt: now } };
}

function lookedAtMissing(
  task: MissingTask,
  { look, kept }: Extract<TaskEvent, { type: "looked" }>,
  { now, timing, hasOwnWork }: TransitionContext,
): Task {
  const verdict = settleMissing(task, look, now, timing);
  switch (verdict.kind) {
    case "alive":
      return alive(task, now, timing);
    case "ended":
      // After a restart nothing of its own wakes it any more.
      if (verdict.status === "completed" && task.doubt !== "restart" && hasOwnWork())
        return { ...base(task), status: "running", observed: { kind: "awaits-own", since: now } };
      // Without a transcript the last text that was seen is all there is.
      return settle(
        task,
        verdict.status,
        { ...(kept === undefined ? {} : { text: keep(kept) }), ...verdict.outcome },
        now,
      );
    case "look-again":
      return { ...task, lookAt: verdict.at };
  }
}

/** The status list, read after a silence, shows the task or omits it. */
export function statusRead(task: Task, shown: boolean, now: number, timing: TaskTiming): Task {
  switch (task.status) {
    case "queued":
    case "running":
      if (task.status === "queued" && task.waits.for !== "sign") return task;
      if (shown) return alive(task, now, timing);
      if (task.status === "running" && task.observed.kind !== "alive") return task;
      return now < task.run.startedAt + QUIET_START_MS ? task : doubt(task, "no-status", now, timing);
    case "missing":
      return shown ? alive(task, now, timing) : task;
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return task;
  }
}

/** The process that ran it is gone. */
export function restarted(
  task: Task,
  { runner, waits }: Extract<TaskEvent, { type: "restarted" }>,
  now: number,
  timing: TaskTiming,
): Transition {
  const ours: Task = { ...task, runner };
  if (isLive(ours)) {
    if (waits) return only({ ...base(ours), status: "queued", waits: { for: "slot" } });
    return only(doubt(ours, "restart", now, timing));
  }
  return readAgain(ours, now);
}

/** A deadline of the task has come. */
export function due(task: Task, context: TransitionContext): Transition {
  const { now } = context;
  if (taskDeadline(task) > now) return only(task);
  if (context.runsElsewhere && isLive(task)) return deferred(task, now);
  switch (task.status) {
    case "queued":
      return queuedDue(task, context);
    case "running":
      return runningDue(task, context);
    case "missing":
      return {
        task: { ...task, lookAt: now + LOOK_AGAIN_MS, looks: task.looks + 1 },
        effects: [lookAt(task, "everything")],
      };
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return only({ ...task, delivery: tellerAfter(task) });
  }
}

/** Who may still tell an outcome when nobody else has. */
function tellerAfter({ status, delivery }: EndedTask): Delivery {
  const isNobodys = delivery.state === "pending" && delivery.teller === "maker" && status !== "lost";
  return isNobodys ? { state: "not-owed" } : { state: "pending", teller: "goalkeeper" };
}

function queuedDue(task: QueuedTask, context: TransitionContext): Transition {
  const { waits } = task;
  const { now, lastSignAt, isBusy } = context;
  switch (waits.for) {
    case "slot":
      return only(task);
    case "turn":
      if (isBusy && task.run.error === undefined) return behindAnother({ ...task, waits }, context);
      return notStarted(task, waits.prompt, now);
    case "sign":
      return asked(now, lastSignAt, (askAt) => ({ ...task, waits: { for: "sign", askAt } }));
  }
}

/** The turn that works began before its prompt came, and the host answers that after it: no attempt has failed. */
function behindAnother(task: WaitsForTurn, context: TransitionContext): Transition {
  const latest = context.now + STARTS_WITHIN_MS;
  return heardOf(task, context, (at) => ({ ...task, waits: { ...task.waits, until: Math.min(at, latest) } }));
}

function runningDue(task: RunningTask, context: TransitionContext): Transition {
  const { now, timing } = context;
  const { observed } = task;
  switch (observed.kind) {
    case "awaits-own":
    case "elsewhere":
      return only(task);
    case "returned":
      if (!isReturned(task)) return only(task);
      return only(context.isBusy ? worksOn(task, now, timing) : endedByCall(task, context));
    case "idle":
    case "aborted":
      return {
        task: { ...task, observed: { ...observed, lookAt: now + LOOK_AGAIN_MS } },
        effects: [lookAt(task, "transcript")],
      };
    case "alive":
      return heardOf(task, context, (askAt) => ({ ...task, observed: { kind: "alive", askAt } }));
  }
}

/** Its session works: it is asked for after a silence, and given up after a long one. */
function heardOf(task: LiveTask, context: TransitionContext, until: (at: number) => Task): Transition {
  const { now, lastSignAt, timing, toolRuns } = context;
  // Never by age alone: a tool may work for hours and say nothing.
  const givenUpAt = toolRuns ? Number.POSITIVE_INFINITY : staleAt(task, lastSignAt, timing);
  if (givenUpAt <= now) return stale(task, context);
  return asked(now, lastSignAt, (askAt) => until(Math.min(askAt, givenUpAt)));
}

function stale(task: LiveTask, { now, lastSignAt }: TransitionContext): Transition {
  const reason = `nothing was heard of it for ${duration(now - lastSignAt)}`;
  return cancelled(task, { type: "cancel", reason, text: undefined }, now);
}

/** After a silence the host is asked for its statuses; one that was broken meanwhile only moves the deadline. */
function asked(now: number, lastSignAt: number, until: (askAt: number) => Task): Transition {
  const heardRecently = lastSignAt + SILENCE_MS > now;
  return heardRecently
    ? only(until(lastSignAt + SILENCE_MS))
    : { task: until(now + SILENCE_MS), effects: [{ type: "ask-statuses" }] };
}

/** What another process runs is only watched, by what that one writes down. */
export function elsewhere(task: LiveTask, isWaiting: boolean, askAt: number): Task {
  if (isWaiting) return { ...base(task), status: "queued", waits: { for: "sign", askAt } };
  return { ...base(task), status: "running", observed: { kind: "elsewhere", askAt } };
}

function deferred(task: LiveTask, now: number): Transition {
  const effects = [{ type: "reread", rootID: task.rootID }] as const;
  return { task: elsewhere(task, task.status === "queued", now + SILENCE_MS), effects };
}

/** What the process that runs it has written down since. */
export function reread(task: Task, stored: Task, now: number): Transition {
  if (isEnded(task)) return only(toldElsewhere(task, stored));
  if (isEnded(stored)) return readAgain(stored, now);
  const hasStarted = task.status === "queued" && !isWaiting(stored);
  return only(hasStarted ? elsewhere(task, false, now + SILENCE_MS) : task);
}

/** Whoever keeps the books of the root has told what ended here: delivery only moves forward. */
function toldElsewhere(task: EndedTask, stored: Task): Task {
  const isTold = isEnded(stored) && stored.run.number === task.run.number && stored.delivery.state !== "pending";
  return isTold && task.delivery.state === "pending" ? { ...task, delivery: stored.delivery } : task;
}

/**
 * Stored state holds no text: the child's transcript does. What the host had told stands in the parent's. It is ours to
 * tell once both have been read.
 */
export function readAgain(task: EndedTask, now: number): Transition {
  if (task.delivery.state !== "pending") return only(task);
  const delivery: Delivery = { state: "pending", teller: "host", until: now + HOST_TELLS_WITHIN_MS };
  return { task: { ...task, delivery }, effects: [lookAt(task, "transcript")] };
}

function lookAt(task: Task, scope: "transcript" | "everything"): TaskEffect {
  return { type: "look", taskID: task.id, run: task.run.number, scope };
}

function only(task: Task): Transition {
  return { task, effects: [] };
}
