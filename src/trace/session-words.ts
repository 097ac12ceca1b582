import { excerpt } from "../delivery/frame.ts";
import { GOAL_TOOLS } from "../goals/root.ts";
import { duration } from "../time/duration.ts";
import type { TracedHostEvent, TraceText } from "./event-schema.ts";
import type { TracedInput } from "./input-schema.ts";
import { count, type Saying } from "./saying.ts";
import { shownText } from "./untrace.ts";

/** What an event in the root's own session says; busy and idle are levels, and told by whoever knows the last one. */
export function rootSaying(event: TracedHostEvent, at: number): Saying | undefined {
  switch (event.type) {
    case "session-retrying": {
      const message = typeof event.message === "string" ? `: ${excerpt(event.message, 60)}` : "";
      return { what: `the provider is asked again in ${duration(event.until - at)}${message}`, tone: "warn" };
    }
    case "session-error": {
      const { name, statusCode, message } = event.error;
      const said = typeof message === "string" ? `: ${excerpt(message, 100)}` : "";
      return { what: `error: ${name}${statusCode === undefined ? "" : ` ${statusCode}`}${said}`, tone: "bad" };
    }
    case "session-compacted":
      return { what: "has compacted its context", tone: "dim" };
    case "session-deleted":
      return { what: "is deleted", tone: "warn" };
    case "user-text": {
      if (event.synthetic || event.ignored || event.frame !== undefined) return undefined;
      return { what: `your message arrives: ${excerpt(shownText(event.text), 60)}` };
    }
    case "tool": {
      if (event.byOther) return { what: `another plugin has answered its call of ${event.tool}`, tone: "warn" };
      const isOurs = GOAL_TOOLS.has(event.tool) || event.child !== undefined;
      if (isOurs || event.state === "running") return undefined;
      const failed = event.state === "error";
      if (event.tool === "background_task" && !failed) return launchSaying(event.output);
      return failed
        ? { what: `its tool ${event.tool} failed`, tone: "warn" }
        : { what: `has used ${event.tool}`, tone: "dim" };
    }
    case "ask-opened":
    case "ask-closed":
      return askSaying(event);
    case "session-seen":
    case "message-removed":
    case "session-busy":
    case "session-idle":
    case "user-message":
    case "assistant-text":
    case "assistant-message":
    case "turn-held":
    case "turn-goes-on":
    case "step-ended":
      return undefined;
  }
}

/** A launched task speaks for itself; that there is none has to be said here. */
function launchSaying(output: TraceText): Saying | undefined {
  if (typeof output !== "string" || !output.endsWith("Nothing was started.")) return undefined;
  return { what: `has launched nothing: ${excerpt(output, 100)}`, tone: "warn" };
}

/** All that an event in another session of the tree says: tasks have records of their own. */
export function askSaying(event: TracedHostEvent): Saying | undefined {
  if (event.type === "ask-opened") {
    return { what: `asks you (${event.kind}): ${excerpt(shownText(event.about), 60)}`, tone: "warn" };
  }
  if (event.type !== "ask-closed") return undefined;
  return { what: event.rejected ? `its ${event.kind} is rejected` : `its ${event.kind} is answered` };
}

export function inputSaying(input: TracedInput): Saying | undefined {
  switch (input.type) {
    case "restored": {
      const goal = input.goal === undefined ? "no goal" : `a goal (${input.goal})`;
      const sleeps = input.awake ? "" : "; it sleeps until you write";
      return { what: `its books are found: ${goal}, ${count(input.tasks.length, "task")}${sleeps}` };
    }
    case "looked":
      return lookSaying(input);
    case "told-before":
      return { what: "OpenCode had reported the end of a task before it stopped" };
    case "read-back":
      return readBackSaying(input);
    case "saved":
      return input.result === "failed" ? { what: "the books could not be stored", tone: "bad" } : undefined;
    case "sent":
      return input.answer === "known" ? undefined : { what: "the prompt was not accepted", tone: "warn" };
    case "handed-over":
      return { what: "your message takes along what tasks have to tell" };
    case "wake":
      return { what: "is awake again" };
    case "started":
      if (input.answer === "sent") return undefined;
      return input.answer === "answered"
        ? { what: "the prompt of a task was there already" }
        : { what: "the prompt of a task was not accepted", tone: "warn" };
    case "cancel":
      return { what: `a task is to end: ${shownText(input.reason)}`, tone: "dim" };
    case "read":
      return { what: "has read how a task ended, as the result of a tool", tone: "dim" };
    case "launched":
    case "resume":
    case "launches-stopped":
    case "attached":
    case "clock":
    case "goal":
    case "agent-judged":
    case "user-speaks":
    case "reread":
    case "storage-repaired":
    case "moved":
    case "statuses":
    case "verified":
      return undefined;
  }
}

function readBackSaying({ told, lostID }: Extract<TracedInput, { type: "read-back" }>): Saying | undefined {
  if (lostID !== undefined) return { what: "your last message was lost when OpenCode stopped", tone: "warn" };
  const untold = told.filter(({ as }) => as === "not-told").length;
  return untold === 0 ? undefined : { what: `${count(untold, "outcome")} had not been told when OpenCode stopped` };
}

type Look = Extract<TracedInput, { type: "looked" }>;

const READINGS: Readonly<Record<Exclude<Look["reading"], "finished" | "failed">, string>> = {
  aborted: "it was aborted",
  unfinished: "it has written no end",
  gone: "its session is gone",
  unknown: "what it has written cannot be read",
};

const SHOWN: Readonly<Record<Look["shown"], string>> = {
  yes: ", and OpenCode shows it as working",
  no: ", and OpenCode does not show it as working",
  gone: "",
  unknown: "",
};

/** A look that finds an end is followed by that end at once: it needs no words of its own. */
function lookSaying({ reading, shown }: Look): Saying | undefined {
  if (reading === "finished" || reading === "failed") return undefined;
  return { what: `is looked at: ${READINGS[reading]}${SHOWN[shown]}`, tone: "dim" };
}
