import { excerpt } from "../delivery/frame.ts";

const CLOSING: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\u201c": "\u201d",
  "\u2018": "\u2019",
  "\u201e": "\u201c",
};

/** Of what somebody has said, in what is said of it: a toast is small. */
export const QUOTED_LENGTH = 40;

export function quote(text: string): string {
  return `"${excerpt(text, QUOTED_LENGTH)}"`;
}

/** What stands in quotes; undefined: it does not, or with a bare quote inside they are the user's own. */
export function unquote(text: string): string | undefined {
  const opening = text.charAt(0);
  const closing = CLOSING[opening];
  if (closing === undefined || text.length < 2 || !text.endsWith(closing)) return undefined;
  const inner = text.slice(1, -1);
  if (opening !== '"') return inner.includes(closing) || inner.includes(opening) ? undefined : inner.trim();
  for (let index = 0; index < inner.length; index++) {
    if (inner[index] === '"') return undefined;
    // What is escaped is not looked at; the closing quote must not be.
    if (inner[index] === "\\" && ++index === inner.length) return undefined;
  }
  return inner.replaceAll('\\"', '"').trim();
}
