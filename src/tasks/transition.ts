import { alive, base, deliver, isNative, nextRun, reconcile, settle } from "./lifecycle.ts";
import { onTool, told } from "./native-task.ts";
import { due, looked, restarted, statusRead } from "./observation.ts";
import { keep } from "./outcome.ts";
import {
  HOST_TELLS_WITHIN_MS,
  isEnded,
  isLive,
  type LiveTask,
  type Outcome,
  STORED_WITHIN_MS,
  type Task,
} from "./task.ts";
import type { TaskEvent, Transition, TransitionContext } from "./task-event.ts";

/**
 * The only place that decides what an event means for a task. Pure: the same task, event and context give the same
 * answer. An event that means nothing in the present state returns the very same task.
 */
export function transition(task: Task, event: TaskEvent, context: TransitionContext): Transition {
  const { now, timing } = context;
  switch (event.type) {
    case "busy":
      return only(isLive(task) ? alive(task, now) : task);
    case "idle":
      return only(isLive(task) ? idle(task, now) : task);
    case "aborted":
      return only(isLive(task) ? aborted(task, now) : task);
    case "prompted":
      return only(prompted(task, event.promptID, now));
    case "deleted":
      return only(deleted(task, event.text, now));
    case "told":
      return only(told(task, event, now));
    case "tool":
      return only(onTool(task, event, now));
    case "looked":
      return only(event.run === task.run.number ? looked(task, event, now, timing) : task);
    case "status-read":
      return only(statusRead(task, event.shown, now, timing));
    case "interrupted":
      return only(isLive(task) ? { ...task, interruptedAt: now } : task);
    case "restarted":
      return restarted(task, event.runner, now, timing);
    case "reread":
      return only(isLive(task) && isEnded(event.stored) ? event.stored : task);
    case "delivered":
      return only(
        deliver(task, event.run, ["pending", "delivered", "undelivered"], {
          state: "delivered",
          sessionID: event.sessionID,
          messageID: event.messageID,
          at: now,
          byTurn: false,
        }),
      );
    case "reconciled":
      return only(reconcile(task, event.run));
    case "undelivered":
      return only(
        deliver(task, event.run, ["pending", "delivered"], { state: "undelivered", at: now, reason: event.reason }),
      );
    case "clock":
      return due(task, context);
  }
}

function only(task: Task): Transition {
  return { task, effects: [] };
}

/** After the deletion the record's text is all there is, also where the task had ended without one being read. */
function deleted(task: Task, text: string | undefined, now: number): Task {
  const kept: Outcome = text === undefined ? {} : { text: keep(text) };
  if (isLive(task)) return settle(task, "cancelled", { ...kept, reason: "its session was deleted" }, now);
  if (text === undefined || task.outcome.text !== undefined) return task;
  return { ...task, outcome: { ...task.outcome, ...kept } };
}

function idle(task: LiveTask, now: number): Task {
  if (task.status === "running" && task.observed.kind !== "alive") return task;
  // An error is stored some tens of milliseconds after the idle: looked at earlier, the transcript is unfinished.
  const lookAt = now + (isNative(task) ? HOST_TELLS_WITHIN_MS : STORED_WITHIN_MS);
  if (task.status === "missing") return { ...task, lookAt: Math.min(task.lookAt, lookAt) };
  return { ...base(task), status: "running", observed: { kind: "idle", since: now, lookAt } };
}

function aborted(task: LiveTask, now: number): Task {
  if (task.status === "missing") return task;
  return {
    ...base(task),
    status: "running",
    observed: { kind: "aborted", since: now, lookAt: now + HOST_TELLS_WITHIN_MS },
  };
}

function prompted(task: Task, promptID: string, now: number): Task {
  if (isEnded(task)) {
    if (task.run.promptID === promptID) return task;
    // Nobody asked for this run through the parent: it owes nothing, unless the earlier outcome was still to be told.
    return nextRun(task, task.delivery.state === "pending" ? task.origin : "adopted", { promptID }, now);
  }
  const run = task.run.promptID === undefined ? { ...task.run, promptID } : task.run;
  const started = alive(task, now);
  return run === task.run ? started : { ...started, run };
}
