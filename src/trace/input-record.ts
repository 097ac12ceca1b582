import type { Decision, StopReason, WaitReason } from "../goals/gate.ts";
import type { GoalEvent } from "../goals/goal.ts";
import type { Hold } from "../goals/run-hold.ts";
import type { Answer } from "../host/port.ts";
import type { Effect, Input } from "../keeper/messages.ts";
import type { StoredRoot } from "../keeper/stored-root.ts";
import { isEnded, type Launch } from "../tasks/task.ts";
import type { TracedEffect, TracedInput } from "./event-schema.ts";
import { modelOf } from "./host-record.ts";
import type { TracedDecision, TracedHold, TracedStopReason, TracedWaitReason } from "./schema.ts";
import { optionalError, reasonOf, type Texts } from "./texts.ts";

/** What came in beside host events, without its texts. */
export function tracedInput(input: Exclude<Input, { type: "host" }>, text: Texts): TracedInput {
  switch (input.type) {
    case "clock":
    case "user-speaks":
    case "wake":
    case "storage-repaired":
      return { type: input.type };
    case "moved":
      return { type: input.type, claim: input.claim };
    case "goal":
      return { type: input.type, ...tracedGoalEvent(input.event, text) };
    case "restored":
      return { type: input.type, awake: input.awake, ...tracedStored(input.stored, input.elsewhere) };
    case "reread":
      return { type: input.type, ...tracedStored(input.stored, input.elsewhere) };
    case "looked": {
      const { taskID, run, look } = input;
      const reading = look.reading.kind === "known" ? look.reading.value : undefined;
      return {
        type: input.type,
        taskID,
        run,
        shown: yesOrNo(look.shown),
        listed: yesOrNo(look.listed),
        reading: look.reading.kind === "known" ? look.reading.value.kind : look.reading.kind,
        text: reading === undefined ? undefined : text(reading.text),
        error: optionalError(reading?.kind === "failed" ? reading.error : undefined, text),
      };
    }
    case "told-before": {
      const { type, told, run, messageID, answered } = input;
      return { type, taskID: told.taskID, run, ended: told.ended, messageID, answered, text: text(told.text) };
    }
    case "statuses": {
      const { answer } = input;
      return {
        type: input.type,
        answer: answer.kind,
        working: answer.kind === "known" ? [...answer.value.keys()] : [],
      };
    }
    case "saved": {
      const { revision, result } = input;
      const reason = result.kind === "failed" ? text(result.reason) : undefined;
      return { type: input.type, revision, result: result.kind, reason };
    }
    case "sent": {
      const { sessionID, messageID, answer } = input;
      return { type: input.type, sessionID, messageID, answer: answer.kind, reason: reasonOf(answer, text) };
    }
    case "verified": {
      const { sessionID, found } = input;
      return {
        type: input.type,
        sessionID,
        found: found.kind,
        text: found.kind === "unanswered" ? text(found.text) : undefined,
      };
    }
    case "handed-over":
      return { type: input.type, messageID: input.messageID };
    case "launched": {
      const { type, task, requestedAt, stopped } = input;
      const { id: taskID, parentID, title, promptID: messageID, launch } = task;
      const tookMs = Math.max(task.createdAt - requestedAt, 0);
      const prompt = text(task.prompt);
      return { type, taskID, parentID, title, messageID, prompt, ...tracedLaunch(launch), tookMs, stopped };
    }
    case "resume": {
      const { type, taskID, promptID: messageID, launch } = input;
      return { type, taskID, messageID, prompt: text(input.prompt), ...tracedLaunch(launch) };
    }
    case "cancel":
      return { type: input.type, taskID: input.taskID, reason: text(input.reason) };
    case "launches-stopped":
      return { type: input.type, sessionID: input.parentID };
    case "started": {
      const { type, taskID, run, answer } = input;
      const what = answer.kind === "known" ? answer.value : answer.kind;
      return { type, taskID, run, answer: what, reason: reasonOf(answer, text) };
    }
    case "read": {
      const { type, taskID, run, sessionID, messageID } = input;
      return { type, taskID, run, sessionID, messageID };
    }
    case "attached":
      return { type: input.type, taskID: input.taskID, by: input.by, attached: input.attached };
  }
}

export function tracedEffect(effect: Effect, text: Texts): TracedEffect {
  switch (effect.type) {
    case "look":
      return { type: effect.type, taskID: effect.taskID, run: effect.run, scope: effect.scope };
    case "ask-session":
      return { type: effect.type, sessionID: effect.sessionID };
    case "ask-statuses":
    case "reread":
    case "release":
      return { type: effect.type };
    case "start": {
      const { type, taskID, run, promptID: messageID, prompt, voice, mayBeThere } = effect;
      const shown = prompt === undefined ? undefined : text(prompt);
      return { type, taskID, run, messageID, prompt: shown, agent: voice.agent, model: modelOf(voice), mayBeThere };
    }
    case "abort":
      return { type: effect.type, taskID: effect.taskID, run: effect.run };
    case "save": {
      const { revision, stored } = effect;
      const { goal, tasks, reserved } = stored;
      return { type: effect.type, revision, goal: goal?.status, tasks: tasks.length, reserved: reserved?.id };
    }
    case "send": {
      const { sessionID, messageID, text: body, voice } = effect.prompt;
      const deposit = effect.deposit === true ? { deposit: true } : {};
      const said = { text: text(body), agent: voice?.agent, model: modelOf(voice) };
      return { type: effect.type, sessionID, messageID, ...said, ...deposit };
    }
    case "verify":
      return { type: effect.type, sessionID: effect.sessionID, messageID: effect.message.id };
    case "toast":
      return { type: effect.type, variant: effect.variant, message: text(effect.message) };
  }
}

export function tracedDecision(decision: Decision, text: Texts): TracedDecision {
  switch (decision.kind) {
    case "continue":
      return { kind: decision.kind, prompt: decision.prompt, overdueTaskIDs: [...decision.overdueTaskIDs] };
    case "wait":
      return { kind: decision.kind, reasons: decision.reasons.map((reason) => tracedWait(reason, text)) };
    case "stop":
      return { kind: decision.kind, reason: tracedStop(decision.reason, text) };
  }
}

/** Who paused a goal says whether the reason is in our words or in those of a provider or a file system. */
export function pauseReason(by: string, reason: string, text: Texts): string | number {
  return by === "error" || by === "storage" ? text(reason) : reason;
}

function tracedLaunch({ voice, unstable }: Launch) {
  return { agent: voice.agent, model: modelOf(voice), unstable };
}

function tracedStored({ goal, owner, reserved, tasks }: StoredRoot, elsewhere: readonly string[]) {
  return {
    goal: goal?.status,
    turns: goal?.turns ?? 0,
    pid: owner.pid,
    elsewhere: [...elsewhere],
    reserved: reserved === undefined ? undefined : { messageID: reserved.id, kind: reserved.kind },
    tasks: tasks.map((task) => ({
      taskID: task.id,
      title: task.title,
      run: task.run.number,
      status: task.status,
      origin: task.origin,
      delivery: isEnded(task) ? task.delivery.state : undefined,
    })),
  };
}

function tracedGoalEvent(event: GoalEvent, text: Texts): Omit<Extract<TracedInput, { type: "goal" }>, "type"> {
  switch (event.type) {
    case "set":
    case "edit":
      return { event: event.type, text: text(event.objective) };
    case "limit-reached":
      return { event: event.type, text: event.limit };
    case "pause":
      return { event: event.type, by: event.by, text: pauseReason(event.by, event.reason, text) };
    case "resume":
      return { event: event.type, taskIDs: [...event.liveTaskIDs] };
    case "complete":
      return { event: event.type, evidence: event.evidence.length };
    case "blocked":
      return { event: event.type, text: text(event.blocker) };
    case "continued":
      return { event: event.type, taskIDs: [...event.releasedTaskIDs] };
    case "prompt-failed":
      return { event: event.type, text: text(event.reason) };
    case "turn-ended":
      return { event: event.type, error: optionalError(event.error, text) };
    case "clear":
    case "wrapped-up":
    case "spent":
      return { event: event.type };
  }
}

function tracedWait(reason: WaitReason, text: Texts): TracedWaitReason {
  const wayOut = "until" in reason ? { until: finite(reason.until) } : { endedBy: reason.endedBy };
  switch (reason.why) {
    case "provider-retries":
      return { why: reason.why, ...wayOut, message: text(reason.message) };
    case "task-live":
      return { why: reason.why, ...wayOut, taskID: reason.taskID, title: reason.title, status: reason.status };
    case "outcome-untold":
    case "outcome-unanswered":
      return { why: reason.why, ...wayOut, taskID: reason.taskID, title: reason.title };
    case "ask-open":
      return { why: reason.why, ...wayOut, sessionID: reason.sessionID, kind: reason.kind, about: text(reason.about) };
    case "back-off":
      return { why: reason.why, ...wayOut, failures: reason.failures };
    case "root-busy":
    case "usage-limit":
    case "user-message-unanswered":
    case "quiet":
    case "asleep":
      return { why: reason.why, ...wayOut };
  }
}

/** Both kinds of reasons are among those of the gate. */
export function tracedHold(hold: Hold, text: Texts): TracedHold {
  return hold.kind === "release"
    ? { kind: hold.kind, why: hold.why }
    : { kind: hold.kind, reasons: hold.reasons.map((reason) => tracedWait(reason, text)), until: finite(hold.until) };
}

/** JSON has no infinity. */
function finite(moment: number): number | undefined {
  return Number.isFinite(moment) ? moment : undefined;
}

function tracedStop(reason: StopReason, text: Texts): TracedStopReason {
  switch (reason.why) {
    case "no-goal":
    case "auto-continue-off":
    case "complete":
      return { why: reason.why };
    case "paused":
      return { why: reason.why, by: reason.by, reason: pauseReason(reason.by, reason.reason, text) };
    case "blocked":
      return { why: reason.why, blocker: text(reason.blocker) };
    case "limited":
      return { why: reason.why, limit: reason.limit };
    case "restricted-agent":
      return { why: reason.why, agent: reason.agent };
  }
}

function yesOrNo(answer: Answer<boolean>): "yes" | "no" | "gone" | "unknown" {
  if (answer.kind !== "known") return answer.kind;
  return answer.value ? "yes" : "no";
}
