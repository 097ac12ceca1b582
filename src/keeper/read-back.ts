import { holdsFrame, readFrame } from "../delivery/frame.ts";
import type { Found } from "../delivery/outbox.ts";
import type { TranscriptMessage } from "../host/port.ts";
import type { EndedTask } from "../tasks/task.ts";

/**
 * What a transcript says about messages that the books know: after a restart it is read before they are believed. A
 * process dies between a message and its parts as well as before and after them.
 */

/** A compaction may have replayed a message under another id: the id in its tag tells that it is the same. */
export function find(transcript: readonly TranscriptMessage[], messageID: string): Found {
  const at = transcript.findLastIndex(
    (message) => message.id === messageID || readFrame(message.rawText)?.id === messageID,
  );
  const stored = transcript[at];
  if (stored === undefined) return { kind: "absent" };
  const isRead = readSince(transcript, at);
  // Without its tag it says nothing, whoever has answered it or stands behind it.
  if (!holdsFrame(stored.rawText, messageID)) return { kind: isRead === undefined ? "torn" : "absent" };
  return isRead === undefined ? { kind: "unanswered", text: stored.rawText } : { kind: isRead };
}

/** Whether the prompt of a task, which carries no tag, is there and was read. */
export function wasRead(transcript: readonly TranscriptMessage[], promptID: string): boolean {
  const at = transcript.findLastIndex(({ id }) => id === promptID);
  return at >= 0 && transcript[at]?.torn !== true && readSince(transcript, at) !== undefined;
}

function readSince(transcript: readonly TranscriptMessage[], at: number): "answered" | "overtaken" | undefined {
  const after = transcript.slice(at + 1);
  const isAnswer = ({ role, summary, parentID }: TranscriptMessage) =>
    role === "assistant" && !summary && parentID === transcript[at]?.id;
  if (after.some(isAnswer)) return "answered";
  return after.some(({ role, compaction }) => role === "user" && !compaction) ? "overtaken" : undefined;
}

/** How an outcome that the books call told stands in the transcript of its reader. */
export type ToldAs = "answered" | "unanswered" | "not-told";

export function toldAs(transcript: readonly TranscriptMessage[], task: EndedTask): ToldAs {
  const { delivery, origin, id } = task;
  if (delivery.state !== "delivered") return "unanswered";
  const { messageID } = delivery;
  if (delivery.byTurn) {
    // The turn of its call is over: whoever has the result has read it, or reads it next.
    const isResult = transcript.some((message) => message.id === messageID && hasResult(message, id));
    return isResult ? "answered" : "not-told";
  }
  const at = transcript.findLastIndex(
    (message) => message.id === messageID || readFrame(message.rawText)?.id === messageID,
  );
  const stored = transcript[at];
  const isThere = stored !== undefined && (holdsFrame(stored.rawText, messageID) || stored.told?.taskID === id);
  // What others tell is in words of their own.
  if (!isThere && origin !== "adopted") return "not-told";
  return at >= 0 && isAnswered(transcript, at) ? "answered" : "unanswered";
}

function hasResult({ parts }: TranscriptMessage, taskID: string): boolean {
  return parts.some(
    (part) =>
      part.type === "tool" &&
      part.state === "completed" &&
      (part.output.includes(taskID) || part.input.includes(taskID)),
  );
}

/** An answer has ended that answers this message, or one behind it. */
function isAnswered(transcript: readonly TranscriptMessage[], at: number): boolean {
  const users = new Set(transcript.slice(at).flatMap(({ id, role }) => (role === "user" ? [id] : [])));
  return transcript
    .slice(at)
    .some(
      ({ role, summary, completedAt, parentID }) =>
        role === "assistant" && !summary && completedAt !== undefined && users.has(parentID ?? ""),
    );
}

/** What is known of the messages of a root that are not the user's own. */
export interface KnownMessages {
  /** A message of ours that may be there without its text. */
  readonly reservedID: string | undefined;
  readonly goal: { readonly id: string; readonly startedAt: number } | undefined;
}

/**
 * The user's last message, if nothing of it but its row was stored.
 *
 * @param before what was stored since may still get its parts; epoch ms
 */
export function lostMessage(
  transcript: readonly TranscriptMessage[],
  { reservedID, goal }: KnownMessages,
  before: number,
): string | undefined {
  const at = transcript.findLastIndex(({ role, compaction }) => role === "user" && !compaction);
  const last = transcript[at];
  if (last?.torn !== true || last.createdAt >= before || last.id === reservedID) return undefined;
  if (readSince(transcript, at) !== undefined) return undefined;
  if (goal === undefined || last.createdAt < goal.startedAt) return last.id;
  // The command that has started the goal: the goal has its objective.
  const isThere = transcript.some(({ rawText }) => holdsFrame(rawText, goal.id));
  return isThere ? last.id : undefined;
}
