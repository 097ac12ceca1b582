import { alive, base, deliver, end, nextRun } from "./lifecycle.ts";
import { keep } from "./outcome.ts";
import {
  BEGINS_WITHIN_MS,
  type Delivery,
  isEnded,
  type LiveTask,
  type Origin,
  type Outcome,
  RESTS_WITHIN_MS,
  type RunningTask,
  type Task,
  type TaskTiming,
} from "./task.ts";
import type { TaskEvent, TransitionContext } from "./task-event.ts";

type ToolEvent = Extract<TaskEvent, { type: "tool" }>;

/**
 * What the part of a Task tool, in the parent, says about the child. OpenCode's own returns when the child rests; one of
 * another plugin, under the same name, may return while it works, and tells how it has ended by other means.
 */
export function onTool(task: Task, event: ToolEvent, { now, isBusy }: TransitionContext): Task {
  const called: Origin = event.background ? "background" : "foreground";
  if (isEnded(task)) {
    if (event.state === "running" && event.callID !== task.run.callID)
      return nextRun(task, called, { callID: event.callID }, now);
    const tells =
      event.state !== "running" &&
      !event.background &&
      event.callID === task.run.callID &&
      !(event.state === "completed" && task.origin === "adopted");
    return tells ? deliver(task, task.run.number, ["pending"], byToolResult(task, event.messageID, now)) : task;
  }
  // Nothing that we have launched is the child of a call that was not seen to work on it.
  if (task.origin === "launched" && event.state !== "running" && event.callID !== task.run.callID) return task;
  const known = task.run.callID === undefined ? { ...task.run, callID: event.callID } : task.run;
  const origin = later(task.origin, called);
  const native: LiveTask = task.origin === origin && known === task.run ? task : { ...task, origin, run: known };
  if (event.state === "running" || (event.state === "completed" && event.background)) return native;
  // The result of another call about the same child, e.g. an extension of a running job, ends nothing.
  if (native.run.callID !== event.callID) return native;
  const delivery = byToolResult(task, event.messageID, now);
  if (event.state === "completed") return returned(native, event, delivery, now, isBusy);
  const wasAborted =
    native.interruptedAt !== undefined || (native.status === "running" && native.observed.kind === "aborted");
  return wasAborted
    ? end(native, "cancelled", { reason: "it was aborted" }, delivery, now)
    : end(native, "failed", { error: { name: "TaskToolError", message: event.output } }, delivery, now);
}

/** Its call has returned. A child that rests has its result in that; any other may not have been awaited at all. */
function returned(task: LiveTask, event: ToolEvent, delivery: Delivery, now: number, isBusy: boolean): Task {
  if (task.origin === "adopted") return task;
  const output = keep(taskText(event.output));
  const isUnseen = task.status === "queued" && task.waits.for === "sign";
  const mayWork = isUnseen || (task.status === "running" && task.observed.kind === "alive");
  if (!mayWork) return end(task, "completed", { text: output }, delivery, now);
  const lookAt = now + (isBusy ? RESTS_WITHIN_MS : BEGINS_WITHIN_MS);
  const { messageID } = event;
  return {
    ...base(task),
    status: "running",
    observed: { kind: "returned", lookAt, worked: isBusy, output, messageID },
  };
}

export type ReturnedTask = RunningTask & { readonly observed: { readonly kind: "returned" } };

export function isReturned(task: Task): task is ReturnedTask {
  return task.status === "running" && task.observed.kind === "returned";
}

/** It rests, so what its call has returned is its result. */
export function endedByCall(task: ReturnedTask, { now, parentIsBusy }: TransitionContext): Task {
  const { output: text, messageID } = task.observed;
  // The turn that was to read it may be over by now.
  const delivery: Delivery = parentIsBusy ? byToolResult(task, messageID, now) : { state: "reconciled", at: now };
  return end(task, "completed", { text }, delivery, now);
}

/** It works on behind its call: whoever made it, and not that call, tells how it ends. */
export function worksOn(task: ReturnedTask, now: number, timing: TaskTiming): LiveTask {
  const adopted = task.origin === "foreground" ? ({ ...task, origin: "adopted" } as const) : task;
  return alive(adopted, now, timing);
}

/**
 * A foreground task may be sent to the background; the way back does not exist. Nor does a part make one of any other that
 * was not opened so: OpenCode's own tool is seen to work before its child.
 */
function later(before: Origin, seen: Origin): Origin {
  return seen === "background" ? "background" : before;
}

function byToolResult(task: Task, messageID: string, now: number): Delivery {
  return { state: "delivered", sessionID: task.parentID, messageID, at: now, byTurn: true };
}

/** What OpenCode's own message about an ended background task says. */
export function told(task: Task, event: Extract<TaskEvent, { type: "told" }>, now: number): Task {
  const delivery: Delivery = {
    state: "delivered",
    sessionID: task.parentID,
    messageID: event.messageID,
    at: now,
    byTurn: false,
  };
  if (isEnded(task)) return deliver(task, task.run.number, ["pending"], delivery);
  const outcome: Outcome =
    event.ended === "completed" ? { text: keep(event.text) } : { error: { name: "TaskError", message: event.text } };
  return end(task, event.ended, outcome, delivery, now);
}

/** The result inside the frame that OpenCode's Task tool puts around it; the whole text if there is no frame. */
export function taskText(output: string): string {
  const open = output.indexOf("<task_result>\n");
  const close = output.lastIndexOf("\n</task_result>");
  return open >= 0 && close > open ? output.slice(open + "<task_result>\n".length, close) : output;
}
