/** When a provider will take requests again, from what it says with an error: every provider has words of its own. */
import { list, type Raw, record } from "../host/raw.ts";
import { parseIso } from "../time/parse.ts";

/** A limit of a week is the longest that there is; what is further away is no reset time, or a wrong clock. */
const LONGEST_WAIT_MS = 8 * 86_400_000;

/** Headers that say when, and those that say whether that allowance is used up at all. */
type Resets = readonly (readonly [reset: string, left?: string])[];

/** About this request, whatever became of it. */
const RETRY_AFTER: Resets = [["retry-after"], ["retry-after-ms"]];

const RESETS: Resets = [
  ...RETRY_AFTER,
  ["x-ratelimit-reset", "x-ratelimit-remaining"],
  // OpenAI, Groq, Azure: "6m0s", "1.5s"
  ["x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"],
  ["x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"],
  // Anthropic: ISO 8601, per minute; for subscriptions epoch seconds, per five hours or week
  ["anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"],
  ["anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"],
  ["anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"],
  ["anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"],
  ["anthropic-ratelimit-unified-reset", "anthropic-ratelimit-unified-status"],
];

/** The headers that {@link resetOf} looks at, in lower case. Nothing else of an answer needs to be kept. */
export const RESET_HEADERS: ReadonlySet<string> = new Set(RESETS.flat().filter((name) => name !== undefined));

/**
 * Epoch ms; undefined when nothing is said, or nothing that makes sense: not in the future, or more than 8 days away.
 *
 * Of several moments it is the latest: before OpenCode reports the error it has waited out `retry-after` five times, so
 * a short one has proved wrong.
 *
 * @param error the object in the body that describes the error
 */
export function resetOf(headers: Readonly<Record<string, string>>, error: Raw, now: number): number | undefined {
  const moments = [...headerMoments(headers, error, RESETS, now), ...bodyMoments(error, now)];
  return latest(moments, now);
}

/**
 * As {@link resetOf}, after a failure of the provider. What is left of the allowances has nothing to do with that: they
 * are listed with every answer, and one of them may be a week's.
 */
export function retryAfterOf(headers: Readonly<Record<string, string>>, error: Raw, now: number): number | undefined {
  return latest(headerMoments(headers, error, RETRY_AFTER, now), now);
}

function latest(moments: readonly (number | undefined)[], now: number): number | undefined {
  const sensible = moments.filter((at): at is number => at !== undefined && at > now && at <= now + LONGEST_WAIT_MS);
  return sensible.length === 0 ? undefined : Math.max(...sensible);
}

function headerMoments(
  headers: Readonly<Record<string, string>>,
  error: Raw,
  resets: Resets,
  now: number,
): readonly (number | undefined)[] {
  const entries = Object.entries(record(record(error.metadata).headers));
  const quoted = Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), String(value)])); // OpenRouter
  return [headers, quoted].flatMap((said) =>
    resets.map(([reset, left]) => {
      const value = said[reset]?.trim();
      if (value === undefined || (left !== undefined && isLeft(said[left]))) return undefined;
      return momentIn(reset === "retry-after-ms" ? `${value}ms` : value, now);
    }),
  );
}

/** Every allowance is listed, with its own reset; only those that are used up matter. */
function isLeft(value: string | undefined): boolean {
  return value !== undefined && (Number(value) > 0 || value.trim().startsWith("allowed"));
}

function bodyMoments(error: Raw, now: number): readonly (number | undefined)[] {
  // Codex has the first two, Google a RetryInfo among its details.
  const delays = list(error.details).map((detail) => record(detail).retryDelay);
  return [error.resets_at, error.resets_in_seconds, ...delays].map((value) =>
    typeof value === "number" || typeof value === "string" ? momentIn(String(value).trim(), now) : undefined,
  );
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const isUnit = (unit: string | undefined): unit is keyof typeof UNITS => unit !== undefined && unit in UNITS;
/** No delay has as many seconds, and no moment since 2001 fewer; in ms likewise. */
const [EPOCH_SECONDS, EPOCH_MS] = [1e9, 1e12];

/** Epoch ms from seconds, from an epoch in s or ms, a duration like `6m0s`, an HTTP date or ISO 8601. */
function momentIn(value: string, now: number): number | undefined {
  if (/^\d+(?:\.\d+)?$/.test(value)) {
    const count = Number(value);
    if (count >= EPOCH_MS) return count;
    return Math.ceil(count >= EPOCH_SECONDS ? count * 1_000 : now + count * 1_000);
  }
  if (/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(value)) {
    const parts = [...value.matchAll(/([\d.]+)(ms|[smhd])/g)];
    return Math.ceil(parts.reduce((at, [, count, unit]) => at + Number(count) * (isUnit(unit) ? UNITS[unit] : 0), now));
  }
  // Anything else would be read as some date or other: engines guess.
  return /^(?:\d{4}-\d\d-\d\dT|[A-Z][a-z]{2}, \d)/.test(value) ? parseIso(value) : undefined;
}
