import {
  abort,
  admitted,
  cancelled,
  errored,
  isUnwanted,
  rejected,
  resumed,
  sent,
  withoutError,
} from "./launched-task.ts";
import { alive, base, deliver, end, isNative, nextRun, reconcile, settle } from "./lifecycle.ts";
import { endedByCall, isReturned, onTool, told, worksOn } from "./native-task.ts";
import { due, looked, ownWorkOver, readAgain, reread, restarted, statusRead } from "./observation.ts";
import { keep } from "./outcome.ts";
import {
  type Delivery,
  type EndedTask,
  HOST_TELLS_WITHIN_MS,
  isEnded,
  isLive,
  isSeated,
  isWaiting,
  type LiveTask,
  type Outcome,
  type Task,
  type TaskTiming,
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
      return busy(task, now, timing);
    case "answered":
      return only(isLive(task) ? withoutError(task) : task);
    case "idle":
      if (isReturned(task)) return only(endedByCall(task, context));
      return only(isLive(task) && !waitsForUs(task) ? idle(task, now) : task);
    case "aborted":
      return only(isLive(task) && !waitsForUs(task) ? aborted(notAwaited(task, now, timing), now) : task);
    case "errored":
      return only(isLive(task) ? errored(notAwaited(task, now, timing), event.error, now) : task);
    case "rejected":
      return only(isLive(task) ? rejected(task, event.kind) : task);
    case "prompted":
      return only(prompted(task, event.promptID, now, timing));
    case "admitted":
      return admitted(task, now);
    case "sent":
      return sent(task, event, now, timing);
    case "cancel":
      return cancelled(task, event, now);
    case "resume":
      return only(resumed(task, event, now));
    case "own-work-over":
      return only(ownWorkOver(task, now));
    case "deleted":
      return { task: deleted(task, event.text, now), effects: isSeated(task) ? [abort(task)] : [] };
    case "told":
      return only(told(task, event, now));
    case "maker-told":
      return only(makerTold(task, event.messageID, now));
    case "told-lost":
      return only(toldLost(task, event, now));
    case "tool":
      return only(onTool(task, event, context));
    case "looked":
      return event.run === task.run.number ? looked(task, event, context) : only(task);
    case "status-read":
      return only(statusRead(task, event.shown, now, timing));
    case "interrupted":
      return only(isLive(task) ? { ...task, interruptedAt: now } : task);
    case "restarted":
      return restarted(task, event, now, timing);
    case "reread":
      return reread(task, event.stored, now);
    case "delivered":
      return only(
        deliver(task, event.run, ["pending", "delivered", "undelivered"], {
          state: "delivered",
          sessionID: event.sessionID,
          messageID: event.messageID,
          at: now,
          byTurn: event.byTurn ?? false,
        }),
      );
    case "not-stored":
      return notStored(task, event.messageID, now);
    case "reader-ended":
      return only(deliver(task, task.run.number, ["delivered"], { state: "pending", teller: "goalkeeper" }));
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

function busy(task: Task, now: number, timing: TaskTiming): Transition {
  if (isReturned(task)) return only(task.observed.worked ? task : worksOn(task, now, timing));
  if (isLive(task)) return only(isWaiting(task) ? task : alive(withoutError(task), now, timing));
  return { task, effects: isUnwanted(task, now) ? [abort(task)] : [] };
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

/** Nobody else tells about a task that we did not make. */
function makerTold(task: Task, messageID: string, now: number): Task {
  if (!isEnded(task) || task.delivery.state !== "pending" || task.delivery.teller !== "maker") return task;
  const { parentID: sessionID } = task;
  return { ...task, delivery: { state: "delivered", sessionID, messageID, at: now, byTurn: false } };
}

/**
 * What another manager says of a child counts here when this one has lost it too, or doubts it. (Our own message comes by
 * here as well, and says nothing new.)
 */
function toldLost(task: Task, event: Extract<TaskEvent, { type: "told-lost" }>, now: number): Task {
  const { sessionID, messageID } = event;
  if (event.run !== task.run.number) return task;
  const delivery: Delivery = { state: "delivered", sessionID, messageID, at: now, byTurn: false };
  if (task.status === "lost") return deliver(task, event.run, ["pending"], delivery);
  return task.status === "missing"
    ? end(task, "lost", { reason: "another plugin's manager has lost it" }, delivery, now)
    : task;
}

/** The host had accepted a message and was killed before it had stored it. After a restart its text is read again first. */
function notStored(task: Task, messageID: string, now: number): Transition {
  if (!isEnded(task) || task.delivery.state !== "delivered" || task.delivery.messageID !== messageID) return only(task);
  const untold: EndedTask = { ...task, delivery: { state: "pending", teller: "goalkeeper" } };
  return task.outcome.text === undefined ? readAgain(untold, now) : only(untold);
}

/** OpenCode's own tool does not return and leave a turn behind that fails. */
function notAwaited(task: LiveTask, now: number, timing: TaskTiming): LiveTask {
  return isReturned(task) ? worksOn(task, now, timing) : task;
}

/** Its own turn has not begun: what is seen of the session belongs to an earlier run, or to its user. */
function waitsForUs(task: LiveTask): boolean {
  return task.status === "queued" && task.waits.for !== "sign";
}

/** Its turn has finished, and another one begins when it is busy. */
function awaitsOwn(task: LiveTask): boolean {
  return task.status === "running" && task.observed.kind === "awaits-own";
}

function idle(task: LiveTask, now: number): Task {
  if (task.status === "running" && task.observed.kind !== "alive") return task;
  const lookAt = now + lookAfterIdleMs(task);
  if (task.status === "missing") return { ...task, lookAt: Math.min(task.lookAt, lookAt) };
  return { ...base(task), status: "running", observed: { kind: "idle", since: now, lookAt } };
}

/** About its own tasks the host tells first. Any other is looked at at once, and once more if that was too early. */
function lookAfterIdleMs(task: LiveTask): number {
  return isNative(task) ? HOST_TELLS_WITHIN_MS : 0;
}

function aborted(task: LiveTask, now: number): Task {
  if (task.status === "missing") return task;
  return {
    ...base(task),
    status: "running",
    observed: { kind: "aborted", since: now, lookAt: now + HOST_TELLS_WITHIN_MS },
  };
}

function prompted(task: Task, promptID: string, now: number, timing: TaskTiming): Task {
  if (isEnded(task)) {
    // The host publishes it again.
    if (promptID === task.run.promptID) return task;
    // Nobody asked for this run through the parent: it owes nothing, unless the earlier outcome was still to be told.
    return nextRun(task, task.delivery.state === "pending" ? task.origin : "adopted", { promptID }, now);
  }
  // That a prompt is stored is no beginning: the wake-up may have got lost.
  if (waitsForUs(task) || awaitsOwn(task)) return task;
  const run = task.run.promptID === undefined ? { ...task.run, promptID } : task.run;
  const started = isReturned(task) ? task : alive(task, now, timing);
  return run === task.run ? started : { ...started, run };
}
