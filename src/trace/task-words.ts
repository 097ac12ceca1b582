import { excerpt } from "../delivery/frame.ts";
import { duration } from "../goals/words.ts";
import type { Saying } from "./saying.ts";
import type { TracedTask, TraceRecord } from "./schema.ts";
import { shownText } from "./untrace.ts";

type TaskRecord = Extract<TraceRecord, { kind: "task" }>;

const DOUBTS: Readonly<Record<NonNullable<TracedTask["doubt"]>, string>> = {
  "idle-unfinished": "it stopped without having finished",
  restart: "OpenCode was started again",
  "no-status": "OpenCode does not show it as working",
};

/** What a change of a task is for a stranger; undefined if it only matters to the books. */
export function taskSaying(record: TaskRecord): Saying | undefined {
  const { before, after } = record;
  if (after === undefined) return { what: "its record is removed, its session stays", tone: "dim" };
  if (record.event === "restored") return undefined;
  if (before?.status !== after.status || isNextRun(record)) return statusSaying(record, after);
  if (before.delivery !== after.delivery || before.teller !== after.teller) return deliverySaying(after);
  return undefined;
}

function isNextRun({ before, after }: TaskRecord): boolean {
  return before?.delivery !== undefined && after?.delivery === undefined;
}

function statusSaying(record: TaskRecord, after: TracedTask): Saying | undefined {
  const { at, before, origin, run } = record;
  const took = after.ranMs === undefined ? "" : ` after ${duration(after.ranMs)}`;
  switch (after.status) {
    case "queued":
      return run > 1 ? { what: `starts again (run ${run})` } : undefined;
    case "running":
      if (before?.status === "missing") return { what: "is there again", tone: "good" };
      return run > 1 ? undefined : { what: origin === "adopted" ? "starts" : `starts (${origin})` };
    case "missing": {
      const why = after.doubt === undefined ? "" : `: ${DOUBTS[after.doubt]}`;
      const grace = after.until === undefined ? "" : ` (grace: ${duration(after.until - at)})`;
      return { what: `is missing${why}. What it has written decides${grace}`, tone: "warn" };
    }
    case "completed":
      return { what: `completed${took}${tellerWords(after)}`, tone: "good" };
    case "failed":
      return { what: `failed${took}${errorWords(after)}${tellerWords(after)}`, tone: "bad" };
    case "cancelled":
      return { what: `cancelled${took}${because(after)}${tellerWords(after)}`, tone: "warn" };
    case "lost":
      return { what: `LOST${because(after)}. Nobody waits for it any longer; the agent will be told`, tone: "bad" };
  }
}

function deliverySaying(after: TracedTask): Saying | undefined {
  switch (after.delivery) {
    case "delivered":
      return { what: "its end has been told to the agent", tone: "dim" };
    case "reconciled":
      return { what: "the agent has answered it: settled", tone: "dim" };
    case "undelivered":
      return { what: "its end could not be told", tone: "bad" };
    case "pending":
      return after.teller === "goalkeeper"
        ? { what: "OpenCode did not tell its end: goalkeeper will", tone: "dim" }
        : undefined;
    case "not-owed":
    case undefined:
      return undefined;
  }
}

function tellerWords({ delivery, teller }: TracedTask): string {
  if (delivery === "delivered") return "; OpenCode has told the agent";
  if (delivery !== "pending") return "";
  return teller === "host" ? "; OpenCode is about to tell the agent" : "; goalkeeper will tell the agent";
}

function errorWords({ error }: TracedTask): string {
  if (error === undefined) return "";
  // A length says nothing to a reader; OpenCode puts the id of the task in front, which is known here.
  const said =
    typeof error.message === "string" ? error.message.replace(/^Subagent failed \(task_id: \w+\): /, "") : "";
  const message = said === "" ? "" : `: ${excerpt(said, 70)}`;
  return ` (${error.name}${error.statusCode === undefined ? "" : ` ${error.statusCode}`}${message})`;
}

function because({ reason }: TracedTask): string {
  return reason === undefined ? "" : `: ${shownText(reason)}`;
}
