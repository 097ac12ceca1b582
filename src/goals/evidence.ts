import { excerpt } from "../delivery/frame.ts";
import type { TranscriptMessage, TranscriptPart } from "../host/port.ts";
import type { Evidence } from "./goal.ts";
import { GOAL_TOOLS } from "./root.ts";

type ToolPart = Extract<TranscriptPart, { type: "tool" }>;

/** A tool call that evidence may name. */
export interface CountingCall {
  readonly callID: string;
  readonly tool: string;
  readonly title: string;
}

/** So many of the last calls are listed. */
const MOST_LISTED = 12;
const TITLE_LENGTH = 60;

/** The calls of a session that have succeeded since a moment, oldest first; the goal tools prove nothing. */
export function countingCalls(transcript: readonly TranscriptMessage[], since: number): readonly CountingCall[] {
  return toolParts(transcript)
    .filter(({ part, at }) => at >= since && part.state === "completed" && !GOAL_TOOLS.has(part.tool))
    .map(({ part: { callID, tool, title } }) => ({ callID, tool, title }));
}

/** What `get_goal` shows of them, the newest last. */
export function callsText(calls: readonly CountingCall[]): string {
  if (calls.length === 0) return "";
  const lines = calls.slice(-MOST_LISTED).map(({ callID, tool, title }) => {
    const about = title === "" ? "" : `: ${excerpt(title, TITLE_LENGTH)}`;
    return `- ${callID} ${tool}${about}`;
  });
  return ["Tool calls that evidence can name (tool_call_ids):", ...lines].join("\n");
}

/**
 * What is wrong with the calls that evidence names, one line for each; empty when nothing is. A call counts when it
 * exists in the session, has succeeded, and came after the goal began. Some providers give an id again: then one of its
 * calls is enough, and of none that counts the last one says why.
 */
export function evidenceProblems(
  evidence: readonly Evidence[],
  transcript: readonly TranscriptMessage[],
  since: number,
): readonly string[] {
  const calls = toolParts(transcript);
  const named = [...new Set(evidence.flatMap(({ tool_call_ids: ids = [] }) => ids))];
  return named.flatMap((id) => {
    const problems = calls.filter(({ part }) => part.callID === id).map(({ part, at }) => callProblem(part, at, since));
    if (problems.includes(undefined)) return [];
    const problem = problems.at(-1) ?? "there is no such call in this session";
    return [`- ${excerpt(id, TITLE_LENGTH)}: ${problem}`];
  });
}

function callProblem({ state, tool }: ToolPart, at: number, since: number): string | undefined {
  if (GOAL_TOOLS.has(tool)) return `${tool} proves nothing`;
  if (state === "error") return "it failed";
  if (state !== "completed") return "it has not ended";
  return at < since ? "it came before the goal began" : undefined;
}

function toolParts(transcript: readonly TranscriptMessage[]): readonly { part: ToolPart; at: number }[] {
  return transcript.flatMap(({ parts, createdAt: at }) =>
    parts.flatMap((part) => (part.type === "tool" ? [{ part, at }] : [])),
  );
}
