import { RESET_HEADERS } from "../goals/reset-time.ts";
import { providerError } from "../goals/trouble.ts";
import type { ProviderError } from "./port.ts";
import { list, type Raw, record, text } from "./raw.ts";
import { readError } from "./read.ts";

/** What a provider says of an error is short. A quoted request is not, and nothing is looked for in it. */
const LONGEST_BODY = 4_096;
/** Of a longer one not even the codes are looked for. */
const LONGEST_PARSED = 65_536;
/** Codes, delays and moments; one that is longer is none. */
const LONGEST_VALUE = 64;
const MOST_DETAILS = 8;
const LONGEST_HEADER = 100;

/**
 * OpenCode's error with what the provider said, from `session.error` or an assistant message; undefined if it is none.
 *
 * OpenCode 1.18 has the answer's headers (names in lower case) and its body (a string) in `error.data` of an `APIError`.
 * An error that comes in mid-stream is an `UnknownError` whose message is the provider's error object as JSON. A lost
 * connection is an `APIError` without status, headers and body.
 *
 * @param final the error stands in an assistant message: the turn has ended with it
 */
export function readProviderError(value: unknown, final = false): ProviderError | undefined {
  const error = readError(value);
  if (error === undefined) return undefined;
  const data = record(record(value).data);
  const headers = readHeaders(data.responseHeaders);
  const body = readBody(data);
  return {
    ...error,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body: shortened(body) }),
    ...(typeof data.isRetryable === "boolean" ? { isRetryable: data.isRetryable } : {}),
    ...(final ? { final } : {}),
  };
}

function readHeaders(value: unknown): Readonly<Record<string, string>> | undefined {
  const known = Object.entries(record(value)).flatMap(([name, content]) => {
    const header = name.toLowerCase();
    return typeof content === "string" && content.length <= LONGEST_HEADER && RESET_HEADERS.has(header)
      ? [[header, content] as const]
      : [];
  });
  return known.length === 0 ? undefined : Object.fromEntries(known);
}

function readBody(data: Raw): string | undefined {
  const message = text(data.message);
  return text(data.responseBody) ?? (message?.startsWith("{") === true ? message : undefined);
}

/** Cut off it would be no JSON any more: of a long body that is JSON what tells the cause, and the moment, is kept. */
function shortened(body: string): string {
  if (body.length <= LONGEST_BODY) return body;
  const error = body.length <= LONGEST_PARSED ? providerError(body) : {};
  if (Object.keys(error).length === 0) return body.slice(0, LONGEST_BODY);
  const details = list(error.details)
    .map((detail) => pick(record(detail), ["reason", "retryDelay"]))
    .filter((detail) => Object.keys(detail).length > 0);
  const quoted = Object.entries(record(record(error.metadata).headers)).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  );
  const headers = pick(Object.fromEntries(quoted), [...RESET_HEADERS]);
  return JSON.stringify({
    error: {
      ...pick(error, ["code", "type", "status", "resets_at", "resets_in_seconds"]),
      details: details.slice(0, MOST_DETAILS),
      metadata: { headers },
    },
  });
}

function pick(from: Raw, keys: readonly string[]): Raw {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = from[key];
      const isShort = typeof value === "number" || (typeof value === "string" && value.length <= LONGEST_VALUE);
      return isShort ? [[key, value]] : [];
    }),
  );
}
