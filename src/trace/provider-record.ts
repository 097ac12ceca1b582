import { RESET_HEADERS } from "../goals/reset-time.ts";
import { troubleOf } from "../goals/trouble.ts";
import type { ProviderError } from "../host/port.ts";
import { list, type Raw, record } from "../host/raw.ts";
import type { TracedProviderError } from "./event-schema.ts";
import { type Texts, tracedError } from "./texts.ts";

/** Beginnings of messages that tell what can be done, where nothing else does: `goals/trouble.ts` looks for them. */
const TELLING = [
  "ProviderModelNotFoundError: Model not found: ",
  "Model not found: ",
  "Your credit balance is too low to access the Anthropic API",
] as const;

/** A code, a number, a moment or a duration: no word of a prompt has a place here. */
const CODE = /^[\w.:+-]{1,64}$/;

/**
 * A provider's error as a trace keeps it: besides its name and status what a provider says of when it works again, and
 * the codes in the body. `unclear`: that is not enough to tell what can be done about it, so a replay cannot, either.
 */
export function tracedProviderError(error: ProviderError, at: number, text: Texts): TracedProviderError {
  const { isRetryable, final } = error;
  const headers = error.headers === undefined ? undefined : resets(error.headers);
  const begins = TELLING.find((beginning) => error.message.startsWith(beginning));
  const body = codesIn(error.body);
  const facts = { isRetryable, final, headers, body, begins };
  const kept = toProviderError({ ...tracedError(error, () => 0), ...facts });
  const isClear = JSON.stringify(troubleOf(kept, at)) === JSON.stringify(troubleOf(error, at));
  return {
    ...tracedError(error, text),
    ...facts,
    unclear: isClear ? undefined : true,
  };
}

/** The way back; the message is as long as it was. */
export function toProviderError({ message, begins = "", ...traced }: TracedProviderError): ProviderError {
  const { name, statusCode, isRetryable, final, headers, body } = traced;
  const length = typeof message === "string" ? message.length : message;
  return {
    name,
    message: begins.padEnd(length, "."),
    ...(statusCode === undefined ? {} : { statusCode }),
    ...(isRetryable === undefined ? {} : { isRetryable }),
    ...(final === undefined ? {} : { final }),
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
  };
}

function resets(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => RESET_HEADERS.has(name)));
}

/** Of the object that describes the error only what is looked at, and that only where it cannot be text. */
function codesIn(body: string | undefined): string | undefined {
  if (body === undefined || !/^\s*[{[]/.test(body)) return undefined;
  try {
    const parsed: unknown = JSON.parse(body);
    const outer = record(Array.isArray(parsed) ? parsed[0] : parsed);
    const inner = outer.error ?? record(outer.response).error;
    const error = typeof inner === "object" && inner !== null ? record(inner) : outer;
    const details = list(error.details).map((detail) => pick(record(detail), ["reason", "retryDelay"]));
    const quoted = record(record(error.metadata).headers);
    const names = Object.keys(quoted).filter((name) => RESET_HEADERS.has(name.toLowerCase()));
    return JSON.stringify({
      ...pick(error, ["code", "type", "status", "resets_at", "resets_in_seconds"]),
      ...(details.length === 0 ? {} : { details }),
      ...(names.length === 0 ? {} : { metadata: { headers: pick(quoted, names) } }),
    });
  } catch {
    return undefined; // No JSON: nothing is read out of it.
  }
}

function pick(from: Raw, keys: readonly string[]): Raw {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = from[key];
      return typeof value === "number" || (typeof value === "string" && CODE.test(value)) ? [[key, value]] : [];
    }),
  );
}
