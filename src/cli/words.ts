import type { SessionTreeOwed } from "../session-tree/owed.ts";
import { duration } from "../time/duration.ts";
import type { RunEvent } from "./events.ts";

/** A line of progress for people; undefined where there is nothing to say. */
export function progressLine(event: RunEvent, now: number): string | undefined {
  switch (event.type) {
    case "started":
      return `${event.goal ? "goal" : "prompt"} in ${event.sessionID} on ${event.server}`;
    case "text":
      return undefined;
    case "session":
      return sessionLine(event);
    case "goal":
      return `goal ${event.status}${event.turns === 0 ? "" : `, continued ${times(event.turns)}`}${event.detail === undefined || event.detail === "" ? "" : `: ${event.detail}`}`;
    case "waiting":
      return event.for.length === 0
        ? undefined
        : `waiting: ${event.for.map((owed) => owedWords(owed, now)).join("; ")}`;
    case "asked": {
      const hint = event.answer === "rejected" && event.kind === "permission" ? " (--auto approves)" : "";
      return `${event.kind} ${event.answer}: ${event.about}${hint}`;
    }
    case "interrupting":
      return event.because === "timeout"
        ? "the time is over: interrupting the agent"
        : "interrupting the agent; once more to end at once";
    case "ended":
      return event.message;
  }
}

function sessionLine({ parentID, title, status }: Extract<RunEvent, { type: "session" }>): string | undefined {
  const who = parentID === undefined ? "the agent" : `task "${title}"`;
  switch (status) {
    case "busy":
      return `${who} works`;
    case "idle":
      return `${who} has stopped working`;
    case "retrying":
      return `${who}: the provider is asked again`;
    case "deleted":
      return `${who} was deleted`;
  }
}

function owedWords(owed: SessionTreeOwed, now: number): string {
  const atMost = owed.until === undefined ? "" : ` (at most ${duration(owed.until - now)} more)`;
  return `${what(owed)}${atMost}`;
}

function what({ why, title }: SessionTreeOwed): string {
  switch (why) {
    case "session-busy":
      return `"${title}" works`;
    case "session-retrying":
      return `the provider of "${title}" is asked again`;
    case "unanswered":
      return "an answer";
    case "not-started":
      return "the first turn";
    case "report-untold":
      return `OpenCode's report of "${title}"`;
    case "task-live":
      return `the task "${title}" is queued or works`;
    case "outcome-untold":
      return `the report of the task "${title}"`;
    case "outcome-unanswered":
      return `the answer to the report of "${title}"`;
    case "goal-active":
      return "the goal goes on";
    case "wrapup-owed":
      return "the goal is wrapped up";
  }
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
