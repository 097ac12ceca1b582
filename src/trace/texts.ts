import { tail } from "../delivery/frame.ts";
import type { Answer, TurnError } from "../host/port.ts";
import type { TraceError, TraceText } from "./event-schema.ts";

/** Turns text of a user, a model, a task or a provider into what a trace may hold of it. */
export type Texts = (text: string) => TraceText;

/** Even with `debug_log_text` one line stays readable: the end of a long text is kept, where an agent puts its result. */
const LONGEST_TEXT = 10_000;

export function texts(withText: boolean): Texts {
  return withText ? (text) => tail(text, LONGEST_TEXT) : (text) => text.length;
}

/** Names and status codes are states; messages are text: providers quote prompts in them. */
export function tracedError(error: TurnError, text: Texts): TraceError {
  return { name: error.name, statusCode: error.statusCode, message: text(error.message) };
}

export function optionalError(error: TurnError | undefined, text: Texts): TraceError | undefined {
  return error === undefined ? undefined : tracedError(error, text);
}

/** Why an answer is missing: the words come from the transport or the server. */
export function reasonOf(answer: Answer<unknown>, text: Texts): TraceText | undefined {
  return answer.kind === "unknown" ? text(answer.reason) : undefined;
}
