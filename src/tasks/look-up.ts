import type { HostPort } from "../host/port.ts";
import { type Reading, readOutcome } from "./outcome.ts";
import type { Task } from "./task.ts";

/** What is known of a task id: its record, or after the query window what its own session says. */
export type LookUp =
  | { readonly from: "record"; readonly task: Task }
  | { readonly from: "session"; readonly reading: Reading }
  /** Not found, and why: only the host may say that a session does not exist. */
  | { readonly from: "nowhere"; readonly reason: string };

/**
 * Answers for a task id. An id outlives its record, because it is the id of the child's session.
 *
 * @param task the record of an id, if there still is one
 * @example
 * const found = await lookUpTask("ses_…", () => undefined, host);
 * if (found.from === "session") console.log(found.reading.text);
 */
export async function lookUpTask(
  taskID: string,
  task: (taskID: string) => Task | undefined,
  host: Pick<HostPort, "transcript">,
): Promise<LookUp> {
  const record = task(taskID);
  if (record !== undefined) return { from: "record", task: record };
  const transcript = await host.transcript(taskID);
  switch (transcript.kind) {
    case "known":
      return { from: "session", reading: readOutcome(transcript.value) };
    case "gone":
      return { from: "nowhere", reason: "its record was removed after the query window, and its session was deleted" };
    case "unknown":
      return { from: "nowhere", reason: `its record was removed after the query window, and ${transcript.reason}` };
  }
}
