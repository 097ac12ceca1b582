import type { Answer, TurnError } from "../host/port.ts";
import { doubt } from "./grace-period-pruner.ts";
import { alive, base, nextRun, settle } from "./lifecycle.ts";
import {
  ACCEPTS_WITHIN_MS,
  type Delivery,
  type EndedTask,
  HOST_TELLS_WITHIN_MS,
  isEnded,
  isLive,
  isWaiting,
  type LiveTask,
  type QueuedTask,
  RESEND_AFTER_MS,
  STARTS_WITHIN_MS,
  STORED_WITHIN_MS,
  type Task,
  type TaskTiming,
} from "./task.ts";
import type { TaskEffect, TaskEvent, Transition } from "./task-event.ts";

/** A slot is free: its prompt goes out, and its clocks start. */
export function admitted(task: Task, now: number): Transition {
  if (!isWaiting(task)) return { task, effects: [] };
  return send({ ...task, run: { ...task.run, startedAt: now } }, task.waits.prompt, now);
}

/** Its prompt was sent once more, or for the first time. Whether the host has it already is looked up first. */
function send(task: LiveTask, prompt: string | undefined, now: number): Transition {
  const { launch, run } = task;
  const { promptID, attempt = 0 } = run;
  if (launch === undefined || promptID === undefined) return { task, effects: [] };
  const sent: QueuedTask = {
    ...base(task),
    run: { ...run, attempt: attempt + 1 },
    status: "queued",
    waits: { for: "turn", until: now + ACCEPTS_WITHIN_MS, ...(prompt === undefined ? {} : { prompt }) },
  };
  const mayBeThere = attempt > 0 || prompt === undefined;
  const start = { type: "start", taskID: task.id, run: run.number, promptID, voice: launch.voice } as const;
  return { task: sent, effects: [{ ...start, prompt, mayBeThere }] };
}

/** The turn of its prompt did not come: for a reason that the host has named, or after three more attempts it failed. */
export function notStarted(task: LiveTask, prompt: string | undefined, now: number): Transition {
  if (task.run.error !== undefined) return { task: startFailed(task, task.run.error.message, now), effects: [] };
  if ((task.run.attempt ?? 0) <= RESEND_AFTER_MS.length) return send(task, prompt, now);
  return { task: startFailed(task, "OpenCode took its prompt and did not start a turn", now), effects: [] };
}

/** The host has taken the prompt, refused it, or did not answer. */
export function sent(
  task: Task,
  { run, answer }: Extract<TaskEvent, { type: "sent" }>,
  now: number,
  timing: TaskTiming,
): Transition {
  if (run !== task.run.number) return { task, effects: [] };
  // Cancelled while its prompt was on its way: the turn that starts now has to end too.
  if (isEnded(task)) return { task, effects: answer.kind === "known" && isGivenUp(task) ? [abort(task)] : [] };
  if (task.status !== "queued" || task.waits.for !== "turn") return { task, effects: [] };
  return { task: answered({ ...task, waits: task.waits }, answer, now, timing), effects: [] };
}

export type WaitsForTurn = QueuedTask & { readonly waits: { readonly for: "turn" } };

function answered(task: WaitsForTurn, answer: Answer<"sent" | "answered">, now: number, timing: TaskTiming): Task {
  switch (answer.kind) {
    case "gone":
      return settle(task, "cancelled", { reason: "its session was deleted" }, now);
    case "unknown": {
      const pause = RESEND_AFTER_MS[(task.run.attempt ?? 1) - 1];
      if (pause === undefined) return startFailed(task, answer.reason, now);
      return { ...task, waits: { ...task.waits, until: now + pause } };
    }
    case "known":
      if (answer.value === "sent") return { ...task, waits: { ...task.waits, until: startsUntil(task, now) } };
      // A prompt that came from storage was answered by the process before this one, which is gone.
      return task.waits.prompt === undefined ? doubt(task, "restart", now, timing) : alive(task, now, timing);
  }
}

/**
 * An unknown agent shows in nothing else; an unknown model in a turn without an answer; and what the provider has refused
 * in none that is written down by the time at which its transcript decides.
 */
export function errored(task: LiveTask, error: TurnError, now: number): Task {
  if (task.run.error !== undefined || isWaiting(task)) return task;
  const noted = { ...task, run: { ...task.run, error } };
  if (noted.status !== "queued" || noted.waits.for !== "turn") return noted;
  return { ...noted, waits: { ...noted.waits, until: Math.min(noted.waits.until, now + STORED_WITHIN_MS) } };
}

const REJECTED_ERROR = "RejectedError";

export function rejected(task: LiveTask, kind: "permission" | "question"): LiveTask {
  if (task.launch === undefined || isWaiting(task)) return task;
  const message = `the user rejected ${kind === "permission" ? "a permission that it asked for" : "its question"}`;
  return { ...task, run: { ...task.run, error: { name: REJECTED_ERROR, message } } };
}

/** Why its turn has ended in the middle, where the user wanted that. */
export function rejectionOf({ run }: LiveTask): TurnError | undefined {
  return run.error?.name === REJECTED_ERROR ? run.error : undefined;
}

/** It goes on all the same. What its user has rejected ends its turn a little later. */
export function withoutError(task: LiveTask): LiveTask {
  if (task.run.error === undefined || rejectionOf(task) !== undefined) return task;
  const { error: _error, ...run } = task.run;
  return { ...task, run };
}

/** An error that came before the answer is what there will be. */
function startsUntil({ run, waits }: WaitsForTurn, now: number): number {
  const until = now + STARTS_WITHIN_MS;
  return run.error === undefined ? until : Math.min(waits.until, until);
}

function startFailed(task: LiveTask, why: string, now: number): Task {
  const error = { name: START_ERROR, message: `it could not be started: ${why}` };
  return settle(task, "failed", { error }, now);
}

/**
 * Nobody is told of what a run does that was given up before its turn began: the turn is ended, too. An abort that comes
 * before the host has begun it ends nothing.
 */
export function isUnwanted(task: EndedTask, now: number): boolean {
  // Later it is its user who works there.
  return isGivenUp(task) && now < task.endedAt + STARTS_WITHIN_MS;
}

function isGivenUp(task: EndedTask): boolean {
  if (task.origin !== "launched" || task.run.attempt === undefined) return false;
  return task.status === "cancelled" || task.outcome.error?.name === START_ERROR;
}

const START_ERROR = "StartError";

/** Ends it at once. What it has said by then is read before anybody is told. */
export function cancelled(
  task: Task,
  { reason, text }: Extract<TaskEvent, { type: "cancel" }>,
  now: number,
): Transition {
  if (!isLive(task)) return { task, effects: [] };
  const outcome = { ...(text === undefined ? {} : { text }), reason };
  const ended = settle(task, "cancelled", outcome, now);
  if (isWaiting(task)) return { task: ended, effects: [] };
  const delivery: Delivery =
    ended.delivery.state === "pending" && ended.delivery.teller !== "maker"
      ? { state: "pending", teller: "host", until: now + HOST_TELLS_WITHIN_MS }
      : ended.delivery;
  return { task: { ...ended, delivery }, effects: [abort(task)] };
}

/** The next run of an ended task, whoever made it: from now on it is one that we launched. */
export function resumed(
  task: Task,
  { launch, promptID, prompt, runner }: Extract<TaskEvent, { type: "resume" }>,
  now: number,
): Task {
  if (!isEnded(task)) return task;
  const { status: _status, ...next } = nextRun(task, "launched", { promptID }, now);
  return { ...next, runner, launch, status: "queued", waits: { for: "slot", prompt } };
}

export function abort(task: Task): TaskEffect {
  return { type: "abort", taskID: task.id, run: task.run.number };
}
