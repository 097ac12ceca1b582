import { doubt, type Look, settleMissing } from "./grace-period-pruner.ts";
import { alive, base, settle } from "./lifecycle.ts";
import { keep } from "./outcome.ts";
import {
  type Delivery,
  HOST_TELLS_WITHIN_MS,
  isLive,
  type LiveTask,
  LOOK_AGAIN_MS,
  type MissingTask,
  QUIET_START_MS,
  type RunningTask,
  SILENCE_MS,
  type Task,
  type TaskTiming,
  taskDeadline,
} from "./task.ts";
import type { TaskEffect, TaskEvent, Transition, TransitionContext } from "./task-event.ts";

/** What was found when the host was asked about one task. */
export function looked(
  task: Task,
  { look, kept }: Extract<TaskEvent, { type: "looked" }>,
  now: number,
  timing: TaskTiming,
): Task {
  switch (task.status) {
    case "queued":
      return task;
    case "running":
      return task.observed.kind === "alive" ? task : lookedAtIdle(task, look, now, timing);
    case "missing":
      return lookedAtMissing(task, look, kept, now, timing);
    case "completed":
    case "failed":
    case "cancelled":
    case "lost": {
      // Found again after a restart: stored state holds no text, the child's transcript does.
      if (task.outcome.text !== undefined || look.reading.kind !== "known") return task;
      const delivery: Delivery =
        task.delivery.state === "pending" ? { state: "pending", teller: "goalkeeper" } : task.delivery;
      return { ...task, outcome: { ...task.outcome, text: look.reading.value.text }, delivery };
    }
  }
}

function lookedAtIdle(task: RunningTask, look: Look, now: number, timing: TaskTiming): Task {
  if (look.reading.kind !== "known") return doubt(task, "idle-unfinished", now, timing);
  const reading = look.reading.value;
  switch (reading.kind) {
    case "finished":
      return settle(task, "completed", { text: reading.text }, now);
    case "failed":
      return settle(task, "failed", { text: reading.text, error: reading.error }, now);
    case "aborted":
      return settle(task, "cancelled", { text: reading.text, reason: "it was aborted" }, now);
    case "unfinished":
      return doubt(task, "idle-unfinished", now, timing);
  }
}

function lookedAtMissing(
  task: MissingTask,
  look: Look,
  kept: string | undefined,
  now: number,
  timing: TaskTiming,
): Task {
  const verdict = settleMissing(task, look, now, timing);
  switch (verdict.kind) {
    case "alive":
      return alive(task, now);
    case "ended":
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
      if (shown) return alive(task, now);
      if (task.status === "running" && task.observed.kind !== "alive") return task;
      return now < task.run.startedAt + QUIET_START_MS ? task : doubt(task, "no-status", now, timing);
    case "missing":
      return shown ? alive(task, now) : task;
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return task;
  }
}

/** The process that ran it is gone. */
export function restarted(task: Task, runner: string, now: number, timing: TaskTiming): Transition {
  const ours: Task = { ...task, runner };
  if (isLive(ours)) return { task: doubt(ours, "restart", now, timing), effects: [] };
  if (ours.delivery.state !== "pending") return { task: ours, effects: [] };
  // Stored state holds no text: the child's transcript does. What the host had told stands in the parent's. It is ours
  // to tell once both have been read.
  const delivery: Delivery = { state: "pending", teller: "host", until: now + HOST_TELLS_WITHIN_MS };
  return { task: { ...ours, delivery }, effects: [lookAt(ours, "transcript")] };
}

/** A deadline of the task has come. */
export function due(task: Task, { now, lastSignAt, runsElsewhere }: TransitionContext): Transition {
  if (taskDeadline(task) > now) return { task, effects: [] };
  if (runsElsewhere && isLive(task)) return deferred(task, now);
  switch (task.status) {
    case "queued":
    case "running": {
      if (task.status === "running" && task.observed.kind !== "alive") {
        const observed = { ...task.observed, lookAt: now + LOOK_AGAIN_MS };
        return { task: { ...task, observed }, effects: [lookAt(task, "transcript")] };
      }
      const heardRecently = lastSignAt + SILENCE_MS > now;
      const askAt = heardRecently ? lastSignAt + SILENCE_MS : now + SILENCE_MS;
      const asked: Task =
        task.status === "queued" ? { ...task, askAt } : { ...task, observed: { kind: "alive", askAt } };
      return { task: asked, effects: heardRecently ? [] : [{ type: "ask-statuses" }] };
    }
    case "missing":
      return {
        task: { ...task, lookAt: now + LOOK_AGAIN_MS, looks: task.looks + 1 },
        effects: [lookAt(task, "everything")],
      };
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return { task: { ...task, delivery: { state: "pending", teller: "goalkeeper" } }, effects: [] };
  }
}

function deferred(task: LiveTask, now: number): Transition {
  const waiting: Task = { ...base(task), status: "queued", askAt: now + SILENCE_MS };
  return { task: waiting, effects: [{ type: "reread", rootID: task.rootID }] };
}

function lookAt(task: Task, scope: "transcript" | "everything"): TaskEffect {
  return { type: "look", taskID: task.id, run: task.run.number, scope };
}
