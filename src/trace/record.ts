import type { Message } from "../delivery/outbox.ts";
import type { Observation } from "../keeper/messages.ts";
import { isEnded, type Task, taskDeadline } from "../tasks/task.ts";
import { pauseReason, tracedDecision, tracedHold } from "./decision-record.ts";
import { tracedHostEvent } from "./host-record.ts";
import { tracedEffect, tracedInput } from "./input-record.ts";
import type { TracedTask, TraceEntry } from "./schema.ts";
import { optionalError, type Texts, texts } from "./texts.ts";

/**
 * What a trace keeps of an observation: ids, states, reasons, durations and sizes. Text of a user, a model, a task or
 * a provider is replaced by its length unless `withText` asks for it. Undefined: nothing worth a line.
 */
export function toRecord(observation: Observation, at: number, withText: boolean): TraceEntry | undefined {
  return recordOf(observation, at, texts(withText));
}

/** @param text says what stands in the place of a text */
export function recordOf(observation: Observation, at: number, text: Texts): TraceEntry | undefined {
  switch (observation.type) {
    case "concerns":
      return undefined;
    case "input": {
      const { input } = observation;
      if (input.type === "host") return { at, kind: "host", event: tracedHostEvent(input.event, at, text) };
      return { at, kind: "input", input: tracedInput(input, observation.facts?.runner ?? "", text) };
    }
    case "task":
      return taskEntry(observation, at, text);
    case "goal":
      return goalEntry(observation, at, text);
    case "decision":
      return { at, kind: "decision", decision: tracedDecision(observation.decision, text) };
    case "hold":
      return { at, kind: "hold", hold: tracedHold(observation.hold, text) };
    case "outbox":
      return { at, kind: "outbox", state: observation.state, message: tracedMessage(observation.message) };
    case "effect":
      return { at, kind: "effect", effect: tracedEffect(observation.effect, text) };
  }
}

function taskEntry(
  { change }: Extract<Observation, { type: "task" }>,
  at: number,
  text: Texts,
): TraceEntry | undefined {
  const { before, after, event } = change;
  const task = after ?? before;
  if (task === undefined) return undefined;
  return {
    at,
    kind: "task",
    taskID: task.id,
    title: task.title,
    parentID: task.parentID,
    origin: task.origin,
    run: task.run.number,
    event,
    before: before === undefined ? undefined : tracedTask(before, at, text),
    after: after === undefined ? undefined : tracedTask(after, at, text),
  };
}

function tracedTask(task: Task, at: number, text: Texts): TracedTask {
  const due = taskDeadline(task);
  const until = due === Number.POSITIVE_INFINITY ? undefined : due;
  if (isEnded(task)) {
    const { outcome, delivery } = task;
    return {
      status: task.status,
      until,
      ranMs: task.endedAt - task.run.startedAt,
      delivery: delivery.state,
      teller: delivery.state === "pending" ? delivery.teller : undefined,
      reason: outcome.reason,
      error: optionalError(outcome.error, text),
      output: outcome.text === undefined ? undefined : text(outcome.text),
    };
  }
  const ranMs = at - task.run.startedAt;
  switch (task.status) {
    case "queued":
      return { status: task.status, until, ranMs, waits: task.waits.for };
    case "running":
      return { status: task.status, until, ranMs, observed: task.observed.kind };
    case "missing":
      return { status: task.status, until: task.graceUntil, ranMs, doubt: task.doubt };
  }
}

function goalEntry(
  { before, after, event }: Extract<Observation, { type: "goal" }>,
  at: number,
  text: Texts,
): TraceEntry | undefined {
  const goal = after ?? before;
  if (goal === undefined) return undefined;
  const paused = after?.status === "paused" ? after : undefined;
  return {
    at,
    kind: "goal",
    goalID: goal.id,
    event,
    from: before?.status,
    to: after?.status,
    turns: goal.turns,
    ageMs: at - goal.startedAt,
    failures: goal.failures,
    idleTurns: goal.idleTurns,
    retryAt: goal.retryAt > at ? goal.retryAt : undefined,
    quotaUntil: goal.quotaUntil > at ? goal.quotaUntil : undefined,
    tokens: { ...goal.tokens },
    by: paused?.by,
    reason:
      paused !== undefined
        ? pauseReason(paused.by, paused.reason, text)
        : after?.status === "blocked"
          ? text(after.blocker)
          : undefined,
    limit: after?.status === "limited" ? after.limit : undefined,
    isCut: after?.status === "limited" && after.wrapUp === "cut" ? true : undefined,
    evidence: after?.status === "complete" ? after.evidence.length : undefined,
    objective: text(goal.objective),
  };
}

function tracedMessage(message: Message | undefined) {
  if (message === undefined) return undefined;
  const { id, kind, outcomes, overdueTaskIDs } = message;
  return {
    id,
    kind,
    outcomes: outcomes.map(({ taskID, run }) => ({ taskID, run })),
    overdueTaskIDs: [...overdueTaskIDs],
  };
}
