import type { Told } from "./port.ts";

/** OpenCode's report of an ended background task, in the parent's own session. */
const TOLD = /^<task id="(ses_[0-9A-Za-z]+)" state="(completed|error)">/;
const TOLD_TEXT = /<task_(?:result|error)>\n([\s\S]*)\n<\/task_(?:result|error)>/;
/** Reads such a report from the synthetic text of a user message; undefined if it is none. */
export function readTold(body: string): Told | undefined {
  const match = TOLD.exec(body);
  const taskID = match?.[1];
  if (taskID === undefined) return undefined;
  return { taskID, ended: match?.[2] === "completed" ? "completed" : "failed", text: TOLD_TEXT.exec(body)?.[1] ?? "" };
}
