/** Kinds of text that this plugin puts into a session. */
export type FrameKind = "answer" | "goal" | "continuation" | "wrapup" | "task-outcome" | "waiting";

/**
 * Frames a text, so that a model, a person and we ourselves can tell it from what a user wrote. In a
 * prompt of ours the id is the message's own: after a compaction the host may replay it under another one.
 */
export function frame(kind: FrameKind, id: string, body: string): string {
  return `<goalkeeper kind="${kind}" id="${id}">\n${body}\n</goalkeeper>`;
}

const OPENING = /<goalkeeper kind="([a-z-]+)" id="(msg_[0-9A-Za-z]+)">/;

/** Reads the frame back from a text part; undefined if it is not one of ours. */
export function readFrame(text: string): { kind: string; id: string } | undefined {
  const match = OPENING.exec(text);
  return match?.index === 0 && match[1] !== undefined && match[2] !== undefined
    ? { kind: match[1], id: match[2] }
    : undefined;
}

/** Whether a frame with this id stands anywhere in a text: others may have put something before it. */
export function holdsFrame(text: string, id: string): boolean {
  return text.includes(` id="${id}">\n`) && text.includes("<goalkeeper kind=");
}

/** Makes foreign text safe inside a frame; {@link unescapeText} gives it back unchanged. */
export function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

export function unescapeText(text: string): string {
  return text.replace(/&lt;/g, "<").replace(/&amp;/g, "&");
}

/** The beginning of a long text on one line, for lists. */
export function excerpt(text: string, length: number): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= length ? line : `${cut(line, length - 1)}…`;
}

/** As {@link excerpt}, for inside a frame: no longer than `length` when it is escaped, and no entity is cut. */
export function escapedExcerpt(text: string, length: number): string {
  return excerpt(escapeText(text), length).replace(/&[a-z]*…$/, "…");
}

/** The end of a long text, where an agent puts its result; says what was left out. */
export function tail(text: string, length: number): string {
  return text.length <= length
    ? text
    : `[${text.length - length} characters before this are left out]\n${cutStart(text, length)}`;
}

/** Never splits a surrogate pair: half of one is not valid text for a provider. */
function cut(text: string, length: number): string {
  const end = /[\uD800-\uDBFF]/.test(text.charAt(length - 1)) ? length - 1 : length;
  return text.slice(0, end);
}

function cutStart(text: string, length: number): string {
  const start = text.length - length;
  return text.slice(/[\uDC00-\uDFFF]/.test(text.charAt(start)) ? start + 1 : start);
}
