import type { SessionTreeOwed } from "../session-tree/owed.ts";
import { duration } from "../time/duration.ts";
import type { RunEvent } from "./events.ts";

/** Lines of progress for people; none where there is nothing to say. */
export function progressLines(event: RunEvent, now: number): readonly string[] {
  switch (event.type) {
    case "started":
      return [`${event.goal ? "goal" : "prompt"} in ${event.sessionID} on ${event.server}`];
    case "text":
      return [];
    case "session":
      return [sessionLine(event)];
    case "task":
      return [`task "${event.title}" ${event.status}${event.reason === undefined ? "" : `: ${brief(event.reason)}`}`];
    case "goal":
      return [goalLine(event)];
    case "waiting":
      return event.for.length === 0 ? [] : [`waiting for ${event.for.map((owed) => owedWords(owed, now)).join(", ")}`];
    case "asked": {
      const hint = event.answer === "rejected" && event.kind === "permission" ? " (--auto approves)" : "";
      return [`${event.kind} ${event.answer}: ${event.about}${hint}`];
    }
    case "interrupting":
      return [interruptingLine(event.because)];
    case "ended":
      return [event.message, ...(event.toGoOn === undefined ? [] : [`to go on: ${event.toGoOn}`])];
  }
}

/**
 * What is said of an error in one line: its name once, no stack trace.
 *
 * @example errorWords({ name: "UnknownError", message: "UnknownError: no such model\n    at run (run.ts:1)" })
 * // "UnknownError: no such model"
 */
export function errorWords({ name, message }: { readonly name: string; readonly message: string }): string {
  const said = brief(message);
  if (said === "" || said === name) return name;
  return said.startsWith(`${name}:`) ? said : brief(`${name}: ${said}`);
}

/** The first line, in which no name stands twice. */
export function brief(message: string): string {
  const [first = ""] = message.trim().split("\n");
  return first.trim().replace(/\b(\w+): (?=\1\b)/g, "");
}

/** OpenCode puts the agent behind the title of a child; people have called it without. */
function taskTitle(title: string): string {
  return title.replace(/ \(@[^()]*\)$/, "");
}

function sessionLine({ parentID, title, status }: Extract<RunEvent, { type: "session" }>): string {
  const who = parentID === undefined ? "the agent" : `task "${taskTitle(title)}"`;
  switch (status) {
    case "busy":
      return `${who} works`;
    case "idle":
      return `${who} has ended its turn`;
    case "retrying":
      return `${who}: the provider is asked again`;
    case "deleted":
      return `${who} was deleted`;
  }
}

function goalLine({ status, turns, detail }: Extract<RunEvent, { type: "goal" }>): string {
  const continued = turns === 0 ? "" : `, continued ${times(turns)}`;
  return `goal ${status}${continued}${detail === undefined || detail === "" ? "" : `: ${detail}`}`;
}

function interruptingLine(because: Extract<RunEvent, { type: "interrupting" }>["because"]): string {
  switch (because) {
    case "timeout":
      return "the time is over: interrupting the agent";
    case "signal":
      return "interrupting the agent; once more to end at once";
  }
}

function owedWords(owed: SessionTreeOwed, now: number): string {
  const atMost = owed.until === undefined ? "" : ` (at most ${duration(owed.until - now)} more)`;
  return `${what(owed)}${atMost}`;
}

function what({ why, title }: SessionTreeOwed): string {
  const task = `task "${taskTitle(title)}"`;
  switch (why) {
    case "session-busy":
    case "task-live":
      return task;
    case "session-retrying":
      return `${task}, whose provider is asked again`;
    case "unanswered":
      return "an answer";
    case "not-started":
      return "the first turn";
    case "report-untold":
      return `OpenCode's report of ${task}`;
    case "outcome-untold":
      return `the report of ${task}`;
    case "outcome-unanswered":
      return `the answer to the report of ${task}`;
    case "goal-active":
      return "the next turn of the goal";
    case "wrapup-owed":
      return "the last turn of the goal";
  }
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
