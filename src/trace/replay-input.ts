import type { Found } from "../delivery/outbox.ts";
import type { GoalEvent, PausedBy } from "../goals/goal.ts";
import type { Answer } from "../host/port.ts";
import type { Input, Saved } from "../keeper/messages.ts";
import type { Look } from "../tasks/grace-period-pruner.ts";
import { NO_USAGE, type Reading } from "../tasks/outcome.ts";
import type { Launch } from "../tasks/task.ts";
import type { TraceText } from "./event-schema.ts";
import type { TracedInput } from "./input-schema.ts";
import { toModel } from "./replay-event.ts";
import { filler, storedRoot } from "./stored-record.ts";

type Traced<Type extends TracedInput["type"]> = Extract<TracedInput, { type: Type }>;

/** The input that a trace has recorded; undefined where it does not hold enough of it. Texts are as long as they were. */
export function toInput(traced: TracedInput, rootID: string): Input | undefined {
  switch (traced.type) {
    case "clock":
      return { type: traced.type };
    case "user-speaks":
    case "wake":
    case "storage-repaired":
      return { type: traced.type, rootID };
    case "agent-judged": {
      const { type, agent, denied, isSingleStep } = traced;
      return { type, rootID, limits: { agent, denied, isSingleStep } };
    }
    case "moved":
      return { type: traced.type, rootID, claim: traced.claim };
    case "goal": {
      const event = toGoalEvent(traced);
      return event === undefined ? undefined : { type: traced.type, rootID, event };
    }
    case "restored": {
      const { type, root, awake, elsewhere } = traced;
      return root === undefined ? undefined : { type, stored: storedRoot(root), awake, elsewhere };
    }
    case "reread": {
      const { type, root, elsewhere } = traced;
      return root === undefined ? undefined : { type, stored: storedRoot(root), elsewhere };
    }
    case "looked":
      return { type: traced.type, taskID: traced.taskID, run: traced.run, look: toLook(traced) };
    case "told-before": {
      const { type, taskID, ended, text, messageID, run, answered } = traced;
      return { type, told: { taskID, ended, text: filler(text) }, messageID, run, answered };
    }
    case "read-back":
      return { type: traced.type, rootID, told: traced.told, lostID: traced.lostID };
    case "statuses": {
      const working = new Map(traced.working.map((id) => [id, "busy"] as const));
      return { type: traced.type, answer: toAnswer(traced.answer, working) };
    }
    case "saved":
      return { type: traced.type, rootID, revision: traced.revision, result: toSaved(traced) };
    case "sent": {
      const { type, sessionID, messageID, answer, reason } = traced;
      return { type, rootID, sessionID, messageID, answer: toAnswer(answer, undefined, reason) };
    }
    case "verified":
      return { type: traced.type, rootID, sessionID: traced.sessionID, found: toFound(traced) };
    case "handed-over":
      return { type: traced.type, rootID, messageID: traced.messageID };
    case "launched":
      return toLaunched(traced, rootID);
    case "resume":
      return toResume(traced, rootID);
    case "cancel":
      return { type: traced.type, rootID, taskID: traced.taskID, reason: filler(traced.reason) };
    case "launches-stopped":
      return { type: traced.type, rootID, parentID: traced.sessionID };
    case "started": {
      const { type, taskID, run, answer, reason } = traced;
      const isKnown = answer === "sent" || answer === "answered";
      const said: Answer<"sent" | "answered"> = isKnown
        ? { kind: "known", value: answer }
        : toAnswer<never>(answer, undefined as never, reason);
      return { type, taskID, run, answer: said };
    }
    case "read": {
      const { type, taskID, run, sessionID, messageID } = traced;
      return { type, rootID, taskID, run, sessionID, messageID };
    }
    case "attached":
      return { type: traced.type, rootID, taskID: traced.taskID, by: traced.by, attached: traced.attached };
  }
}

function toGoalEvent(traced: Traced<"goal">): GoalEvent | undefined {
  const text = filler(traced.text ?? 0);
  switch (traced.event) {
    case "set": {
      const { goalID: id, budget } = traced;
      return id === undefined
        ? undefined
        : { type: "set", id, objective: text, ...(budget && { budget: known(budget) }) };
    }
    case "edit":
      return { type: "edit", objective: text };
    case "limit-reached":
      return { type: "limit-reached", limit: text };
    case "overrun":
      return { type: "overrun", limit: text };
    case "pause":
      return { type: "pause", by: traced.by as PausedBy, reason: text };
    case "resume":
      return { type: "resume", liveTaskIDs: traced.taskIDs ?? [] };
    case "complete":
      return { type: "complete", evidence: Array.from({ length: traced.evidence ?? 0 }, () => ({ claim: "" })) };
    case "blocked":
      return { type: "blocked", blocker: text };
    case "clear":
      return { type: "clear" };
    case "wrapped-up":
      return { type: "wrapped-up" };
    // The others come from within: nobody puts them in.
    default:
      return undefined;
  }
}

/** Absent keys are no keys. */
function known<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

function toLook({ shown, listed, ...read }: Traced<"looked">): Look {
  return { shown: toYesOrNo(shown), listed: toYesOrNo(listed), reading: toReading(read) };
}

function toYesOrNo(answer: Traced<"looked">["shown"]): Answer<boolean> {
  return answer === "yes" || answer === "no" ? { kind: "known", value: answer === "yes" } : toAnswer(answer, false);
}

function toReading(read: Omit<Traced<"looked">, "shown" | "listed">): Answer<Reading> {
  const { usage = NO_USAGE, begun = false } = read;
  const said = { text: filler(read.text ?? 0), usage };
  switch (read.reading) {
    case "finished":
    case "aborted":
      return { kind: "known", value: { ...said, kind: read.reading } };
    case "unfinished":
      return { kind: "known", value: { ...said, kind: read.reading, begun } };
    case "failed": {
      const { name = "", statusCode, message = 0 } = read.error ?? {};
      const error = { name, message: filler(message), ...(statusCode === undefined ? {} : { statusCode }) };
      return { kind: "known", value: { ...said, kind: read.reading, error } };
    }
    case "gone":
    case "unknown":
      return toAnswer<never>(read.reading, undefined as never);
  }
}

function toAnswer<T>(kind: Answer<T>["kind"], value: T, reason: TraceText = 0): Answer<T> {
  switch (kind) {
    case "known":
      return { kind, value };
    case "gone":
      return { kind };
    case "unknown":
      return { kind, reason: filler(reason) };
  }
}

function toSaved({ result, reason = 0, claim = 0 }: Traced<"saved">): Saved {
  switch (result) {
    case "ok":
    case "gone":
      return { kind: result };
    case "failed":
      return { kind: result, reason: filler(reason) };
    case "owned-elsewhere":
      return { kind: result, claim };
  }
}

function toFound({ found, text = 0 }: Traced<"verified">): Found {
  return found === "unanswered" ? { kind: found, text: filler(text) } : { kind: found };
}

function toLaunch({ agent, variant, unstable, ...traced }: Traced<"launched"> | Traced<"resume">): Launch {
  const model = toModel(traced.model);
  const voice = { agent, ...(model === undefined ? {} : { model }), ...(variant === undefined ? {} : { variant }) };
  return { voice, unstable };
}

function toLaunched(traced: Traced<"launched">, rootID: string): Input | undefined {
  const { type, taskID: id, parentID, title, messageID: promptID, madeAt: createdAt, requestedAt, stopped } = traced;
  if (createdAt === undefined || requestedAt === undefined) return undefined;
  const task = { id, parentID, title, createdAt, launch: toLaunch(traced), promptID, prompt: filler(traced.prompt) };
  return { type, rootID, task, requestedAt, stopped };
}

function toResume(traced: Traced<"resume">, rootID: string): Input | undefined {
  const { type, taskID, callerID, calledBy: messageID, messageID: promptID, requestedAt } = traced;
  if (callerID === undefined || requestedAt === undefined) return undefined;
  const prompt = filler(traced.prompt);
  return { type, rootID, taskID, callerID, messageID, requestedAt, launch: toLaunch(traced), promptID, prompt };
}
