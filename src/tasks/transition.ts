import { doubt, type Look, settleMissing } from "./grace-period-pruner.ts";
import { keep } from "./outcome.ts";
import {
  type Delivery,
  type EndedTask,
  HOST_TELLS_WITHIN_MS,
  isEnded,
  isLive,
  type LiveTask,
  LOOK_AGAIN_MS,
  type MissingTask,
  type Origin,
  type Outcome,
  QUIET_START_MS,
  type Run,
  type RunningTask,
  SILENCE_MS,
  type Task,
  type TaskTiming,
  type TerminalStatus,
} from "./task.ts";

export type TaskEvent =
  | { readonly type: "busy" }
  | { readonly type: "idle" }
  /** The child's turn was aborted; who did it is not known yet. */
  | { readonly type: "aborted" }
  /** A user message was stored in the child. */
  | { readonly type: "prompted"; readonly promptID: string }
  /** `text` is the last completed text seen of the child: the session is gone, the record keeps it. */
  | { readonly type: "deleted"; readonly text: string | undefined }
  /** The host's own message about the end of a background task was stored in the parent. */
  | { readonly type: "told"; readonly ended: "completed" | "failed"; readonly text: string; readonly messageID: string }
  /** The parent's Task-tool part about this child changed. */
  | {
      readonly type: "tool";
      readonly state: "running" | "completed" | "error";
      readonly callID: string;
      readonly background: boolean;
      readonly output: string;
      readonly messageID: string;
    }
  /** `kept` is the last completed text seen of the child. */
  | { readonly type: "looked"; readonly run: number; readonly look: Look; readonly kept?: string | undefined }
  /** The status list was read after a silence. */
  | { readonly type: "status-read"; readonly shown: boolean }
  /** The user aborted the root. */
  | { readonly type: "interrupted" }
  /** Found again in stored state whose process is gone. */
  | { readonly type: "restarted"; readonly runner: string }
  /** What the process that runs it has written down since. */
  | { readonly type: "reread"; readonly stored: Task }
  | { readonly type: "delivered"; readonly run: number; readonly sessionID: string; readonly messageID: string }
  | { readonly type: "reconciled"; readonly run: number }
  | { readonly type: "undelivered"; readonly run: number; readonly reason: string }
  | { readonly type: "clock" };

export type TaskEffect =
  | {
      readonly type: "look";
      readonly taskID: string;
      readonly run: number;
      readonly scope: "transcript" | "everything";
    }
  | { readonly type: "ask-statuses" }
  /** Another process runs it: only the stored state can say how it goes. */
  | { readonly type: "reread"; readonly rootID: string };

export interface Transition {
  readonly task: Task;
  readonly effects: readonly TaskEffect[];
}

export interface TransitionContext {
  readonly now: number;
  readonly timing: TaskTiming;
  /** When anything was last heard of the child. */
  readonly lastSignAt: number;
  /** Another living process runs it, and only that one settles it (M9). */
  readonly runsElsewhere: boolean;
}

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

/** The earliest moment at which `clock` would change something; `Infinity` if never. */
export function taskDeadline(task: Task): number {
  switch (task.status) {
    case "queued":
      return task.askAt;
    case "running":
      return task.observed.kind === "alive" ? task.observed.askAt : task.observed.lookAt;
    case "missing":
      return task.lookAt;
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return task.delivery.state === "pending" && task.delivery.teller === "host"
        ? task.delivery.until
        : Number.POSITIVE_INFINITY;
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

function isNative(task: Task): boolean {
  return task.origin === "foreground" || task.origin === "background";
}

function base(task: LiveTask) {
  const { id, parentID, rootID, origin, title, createdAt, run, runner, interruptedAt } = task;
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
  };
}

function alive(task: LiveTask, now: number): Task {
  if (task.status === "running" && task.observed.kind === "alive") return task;
  return { ...base(task), status: "running", observed: { kind: "alive", askAt: firstAskAt(task.run, now) } };
}

function firstAskAt(run: Run, now: number): number {
  return Math.max(run.startedAt + QUIET_START_MS, now + SILENCE_MS);
}

function idle(task: LiveTask, now: number): Task {
  if (task.status === "running" && task.observed.kind !== "alive") return task;
  const lookAt = now + (isNative(task) ? HOST_TELLS_WITHIN_MS : 0);
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

function nextRun(task: EndedTask, origin: Origin, how: { callID?: string; promptID?: string }, now: number): Task {
  const { outcome: _outcome, delivery: _delivery, endedAt: _endedAt, interruptedAt: _interrupted, ...record } = task;
  const run: Run = { number: task.run.number + 1, startedAt: now, ...how };
  return { ...record, origin, run, status: "queued", askAt: firstAskAt(run, now) };
}

function onTool(task: Task, event: Extract<TaskEvent, { type: "tool" }>, now: number): Task {
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

function told(task: Task, event: Extract<TaskEvent, { type: "told" }>, now: number): Task {
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

function looked(
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

function statusRead(task: Task, shown: boolean, now: number, timing: TaskTiming): Task {
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

function restarted(task: Task, runner: string, now: number, timing: TaskTiming): Transition {
  const ours: Task = { ...task, runner };
  if (isLive(ours)) return only(doubt(ours, "restart", now, timing));
  if (ours.delivery.state !== "pending") return only(ours);
  // Stored state holds no text: the child's transcript does. What the host had told stands in the parent's. It is ours
  // to tell once both have been read.
  const delivery: Delivery = { state: "pending", teller: "host", until: now + HOST_TELLS_WITHIN_MS };
  return { task: { ...ours, delivery }, effects: [lookAt(ours, "transcript")] };
}

function due(task: Task, { now, lastSignAt, runsElsewhere }: TransitionContext): Transition {
  if (taskDeadline(task) > now) return only(task);
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
      return only({ ...task, delivery: { state: "pending", teller: "goalkeeper" } });
  }
}

function deferred(task: LiveTask, now: number): Transition {
  const waiting: Task = { ...base(task), status: "queued", askAt: now + SILENCE_MS };
  return { task: waiting, effects: [{ type: "reread", rootID: task.rootID }] };
}

function lookAt(task: Task, scope: "transcript" | "everything"): TaskEffect {
  return { type: "look", taskID: task.id, run: task.run.number, scope };
}

/** The one way to end a task without somebody having told it: the outcome becomes pending for its reader. */
function settle(task: LiveTask, status: TerminalStatus, outcome: Outcome, now: number): EndedTask {
  return end(task, status, outcome, reader(task, status, now), now);
}

function end(task: LiveTask, status: TerminalStatus, outcome: Outcome, delivery: Delivery, now: number): EndedTask {
  return { ...base(task), status, endedAt: now, outcome, delivery };
}

function reader(task: LiveTask, status: TerminalStatus, now: number): Delivery {
  switch (task.origin) {
    case "foreground":
    case "background": {
      const hostIsLate = task.status === "missing" || (task.status === "running" && task.observed.kind !== "alive");
      return hostIsLate
        ? { state: "pending", teller: "goalkeeper" }
        : { state: "pending", teller: "host", until: now + HOST_TELLS_WITHIN_MS };
    }
    case "launched":
      return { state: "pending", teller: "goalkeeper" };
    case "adopted":
      return status === "lost" ? { state: "pending", teller: "goalkeeper" } : { state: "not-owed" };
  }
}

function deliver(task: Task, run: number, from: readonly Delivery["state"][], delivery: Delivery): Task {
  if (!isEnded(task) || task.run.number !== run || !from.includes(task.delivery.state)) return task;
  return { ...task, delivery };
}

function reconcile(task: Task, run: number): Task {
  if (!isEnded(task) || task.run.number !== run || task.delivery.state !== "delivered") return task;
  return { ...task, delivery: { state: "reconciled", at: task.delivery.at } };
}

/** The result inside the frame that OpenCode's Task tool puts around it; the whole text if there is no frame. */
export function taskText(output: string): string {
  const open = output.indexOf("<task_result>\n");
  const close = output.lastIndexOf("\n</task_result>");
  return open >= 0 && close > open ? output.slice(open + "<task_result>\n".length, close) : output;
}
