import { deliver, end, nextRun } from "./lifecycle.ts";
import { keep } from "./outcome.ts";
import { type Delivery, isEnded, type LiveTask, type Origin, type Outcome, type Task } from "./task.ts";
import type { TaskEvent } from "./task-event.ts";

/** What the part of OpenCode's own Task tool, in the parent, says about the child. */
export function onTool(task: Task, event: Extract<TaskEvent, { type: "tool" }>, now: number): Task {
  const called: Origin = event.background ? "background" : "foreground";
  if (isEnded(task)) {
    if (event.state === "running" && event.callID !== task.run.callID)
      return nextRun(task, called, { callID: event.callID }, now);
    const tells = event.state !== "running" && !event.background && event.callID === task.run.callID;
    return tells ? deliver(task, task.run.number, ["pending"], byToolResult(task, event.messageID, now)) : task;
  }
  const known = task.run.callID === undefined ? { ...task.run, callID: event.callID } : task.run;
  const origin = later(task.origin, called);
  const native: LiveTask = task.origin === origin && known === task.run ? task : { ...task, origin, run: known };
  if (event.state === "running" || (event.state === "completed" && event.background)) return native;
  // The result of another call about the same child, e.g. an extension of a running job, ends nothing.
  if (native.run.callID !== event.callID) return native;
  const delivery = byToolResult(task, event.messageID, now);
  if (event.state === "completed")
    return end(native, "completed", { text: keep(taskText(event.output)) }, delivery, now);
  const wasAborted =
    native.interruptedAt !== undefined || (native.status === "running" && native.observed.kind === "aborted");
  return wasAborted
    ? end(native, "cancelled", { reason: "it was aborted" }, delivery, now)
    : end(native, "failed", { error: { name: "TaskToolError", message: event.output } }, delivery, now);
}

/** A foreground task may be sent to the background; the way back does not exist. */
function later(before: Origin, seen: Origin): Origin {
  return before === "background" ? "background" : seen;
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
