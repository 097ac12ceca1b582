import { excerpt } from "../delivery/frame.ts";
import { duration } from "../time/duration.ts";
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
  if (after.observed === "awaits-own" && before.observed !== "awaits-own")
    return { what: "has finished its turn and waits for tasks of its own", tone: "dim" };
  if (before.observed === "returned" && after.observed === "alive")
    return { what: "works on, though its call has returned: whoever made it tells how it ends" };
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
      if (after.waits === "slot") return { what: run > 1 ? `is queued again (run ${run})` : "is launched and queued" };
      return run > 1 ? { what: `starts again (run ${run})` } : undefined;
    case "running":
      if (before?.status === "missing") return { what: "is there again", tone: "good" };
      return startSaying(origin, run);
    case "missing": {
      const why = after.doubt === undefined ? "" : `: ${DOUBTS[after.doubt]}`;
      const grace = after.until === undefined ? "" : ` (grace: ${duration(after.until - at)})`;
      return { what: `is missing${why}. What it has written decides${grace}`, tone: "warn" };
    }
    case "completed":
      return { what: `completed${took}${tellerWords(after, origin)}`, tone: "good" };
    case "failed":
      return { what: `failed${took}${errorWords(after)}${tellerWords(after, origin)}`, tone: "bad" };
    case "cancelled":
      return { what: `cancelled${took}${because(after)}${tellerWords(after, origin)}`, tone: "warn" };
    case "lost":
      return { what: `LOST${because(after)}. Nobody waits for it any longer; the agent will be told`, tone: "bad" };
  }
}

/** Of OpenCode's own tasks a later run has been said to start before: they are never queued for a slot. */
function startSaying(origin: TaskRecord["origin"], run: number): Saying | undefined {
  if (origin === "launched") return { what: run > 1 ? `starts (run ${run})` : "starts" };
  if (run > 1) return undefined;
  return { what: origin === "adopted" ? "starts" : `starts (${origin})` };
}

function deliverySaying(after: TracedTask): Saying | undefined {
  switch (after.delivery) {
    case "delivered":
      return { what: "the agent has been told how it ended", tone: "dim" };
    case "reconciled":
      return { what: "the agent has answered: settled", tone: "dim" };
    case "undelivered":
      return { what: "the agent could not be told how it ended", tone: "bad" };
    case "pending":
      return after.teller === "goalkeeper"
        ? { what: "goalkeeper will tell the agent how it ended", tone: "dim" }
        : undefined;
    case "not-owed":
    case undefined:
      return undefined;
  }
}

function tellerWords({ delivery, teller }: TracedTask, origin: string): string {
  if (delivery === "delivered") return origin === "launched" ? "" : "; OpenCode has told the agent";
  if (delivery !== "pending") return "";
  if (teller === "maker") return "; whoever made it may tell the agent";
  if (teller === "host" && origin === "launched") return "; what it has said is being read";
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
