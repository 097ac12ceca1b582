import type { GoalEvent } from "../goals/goal.ts";
import type { Answer } from "../host/port.ts";
import type { Effect, Input } from "../keeper/messages.ts";
import type { StoredRoot } from "../keeper/stored-root.ts";
import { isEnded, type Launch } from "../tasks/task.ts";
import { pauseReason } from "./decision-record.ts";
import { modelOf } from "./host-record.ts";
import type { TracedEffect, TracedInput } from "./input-schema.ts";
import { tracedRoot } from "./stored-record.ts";
import { optionalError, reasonOf, type Texts } from "./texts.ts";

/**
 * What came in beside host events, without its texts.
 *
 * @param runner this instance, as it stands in the tasks that it runs
 */
export function tracedInput(input: Exclude<Input, { type: "host" }>, runner: string, text: Texts): TracedInput {
  switch (input.type) {
    case "clock":
    case "user-speaks":
    case "wake":
    case "storage-repaired":
      return { type: input.type };
    case "agent-judged": {
      const { agent, denied, isSingleStep } = input.limits;
      return { type: input.type, agent, denied: [...denied], isSingleStep };
    }
    case "moved":
      return { type: input.type, claim: input.claim };
    case "goal":
      return { type: input.type, ...tracedGoalEvent(input.event, text) };
    case "restored":
      return { type: input.type, awake: input.awake, ...tracedStored(input, runner, text) };
    case "reread":
      return { type: input.type, ...tracedStored(input, runner, text) };
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
        begun: reading?.kind === "unfinished" ? reading.begun : undefined,
        usage: reading === undefined ? undefined : { tokens: reading.usage.tokens, cost: reading.usage.cost },
        text: reading === undefined ? undefined : text(reading.text),
        error: optionalError(reading?.kind === "failed" ? reading.error : undefined, text),
      };
    }
    case "told-before": {
      const { type, told, run, messageID, answered } = input;
      return { type, taskID: told.taskID, run, ended: told.ended, messageID, answered, text: text(told.text) };
    }
    case "read-back": {
      const { type, told, lostID } = input;
      return { type, told: told.map(({ taskID, run, messageID, as }) => ({ taskID, run, messageID, as })), lostID };
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
      const claim = result.kind === "owned-elsewhere" ? result.claim : undefined;
      return { type: input.type, revision, result: result.kind, reason, claim };
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
      const { id: taskID, parentID, title, promptID: messageID, createdAt: madeAt } = task;
      const tookMs = Math.max(madeAt - requestedAt, 0);
      const prompt = text(task.prompt);
      const launch = tracedLaunch(task.launch, requestedAt);
      return { type, taskID, parentID, title, messageID, prompt, ...launch, madeAt, tookMs, stopped };
    }
    case "resume": {
      const { type, taskID, callerID, messageID: calledBy, promptID: messageID, requestedAt } = input;
      const launch = tracedLaunch(input.launch, requestedAt);
      return { type, taskID, messageID, prompt: text(input.prompt), ...launch, callerID, calledBy };
    }
    case "cancel":
      // As it stands in the outcome, too.
      return { type: input.type, taskID: input.taskID, reason: input.reason };
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
    case "abort-turn":
      return { type: effect.type, messageID: effect.messageID };
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
    case "read-back": {
      const { type, taskIDs, known } = effect;
      return { type, taskIDs: [...taskIDs], messageID: known.reservedID };
    }
    case "toast":
      return { type: effect.type, variant: effect.variant, message: text(effect.message) };
  }
}

function tracedLaunch({ voice, unstable }: Launch, requestedAt: number) {
  return { agent: voice.agent, model: modelOf(voice), variant: voice.variant, unstable, requestedAt };
}

interface Stored {
  readonly stored: StoredRoot;
  readonly elsewhere: readonly string[];
}

function tracedStored({ stored, elsewhere }: Stored, runner: string, text: Texts) {
  const { goal, owner, reserved, tasks } = stored;
  return {
    root: tracedRoot(stored, runner, text),
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
      return { event: event.type, goalID: event.id, budget: event.budget, text: text(event.objective) };
    case "edit":
      return { event: event.type, text: text(event.objective) };
    case "limit-reached":
    case "overrun":
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

function yesOrNo(answer: Answer<boolean>): "yes" | "no" | "gone" | "unknown" {
  if (answer.kind !== "known") return answer.kind;
  return answer.value ? "yes" : "no";
}
