import type { ProviderError } from "../../src/host/port.ts";

/** An error as a provider states it, and what it may cost, in words of the model's own. */
export interface Mishap {
  readonly error: ProviderError;
  /**
   * `retries`: a few, with back-off. `limit`: none before the limit is over, and it is no failure. `user`: none before the
   * user has mended it. `nothing`: the host goes on by itself.
   */
  readonly costs: "retries" | "limit" | "user" | "nothing";
  /** How long the provider wants to be left alone, as it says itself. */
  readonly forMs?: number;
}

const api = (statusCode: number | undefined, more: Omit<Partial<ProviderError>, "name"> = {}): ProviderError => ({
  name: "APIError",
  message: `scripted ${statusCode}`,
  ...(statusCode === undefined ? {} : { statusCode }),
  ...more,
});
const body = (error: object) => JSON.stringify({ error });

export const MISHAPS = {
  "server error": { error: api(500, { isRetryable: true }), costs: "retries" },
  "lost connection": { error: api(undefined, { message: "ECONNREFUSED", isRetryable: true }), costs: "retries" },
  "overloaded in mid-stream": {
    error: { name: "UnknownError", message: "{", body: body({ type: "overloaded_error" }) },
    costs: "retries",
  },
  "server error for a while": {
    error: api(503, { headers: { "retry-after": "40" } }),
    costs: "retries",
    forMs: 40_000,
  },
  "usage limit": { error: api(429), costs: "limit" },
  "usage limit with an end": { error: api(429, { headers: { "retry-after": "300" } }), costs: "limit", forMs: 300_000 },
  "plan used up": {
    error: api(429, { body: body({ type: "usage_limit_reached", resets_in_seconds: 240 }) }),
    costs: "limit",
    forMs: 240_000,
  },
  "bad key": { error: api(401), costs: "user" },
  "no key": { error: { name: "ProviderAuthError", message: "no key" }, costs: "user" },
  "no access": { error: api(403), costs: "user" },
  "no credit": { error: api(429, { body: body({ code: "insufficient_quota" }) }), costs: "user" },
  "no such model": { error: { name: "UnknownError", message: "Model not found: acme/none." }, costs: "user" },
  "too large": { error: { name: "ContextOverflowError", message: "too long", final: true }, costs: "user" },
  compacted: { error: { name: "ContextOverflowError", message: "too long" }, costs: "nothing" },
  unknown: { error: { name: "UnknownError", message: "odd" }, costs: "retries" },
  "no reason": { error: { name: "MessageOutputLengthError", message: "" }, costs: "retries" },
} as const satisfies Record<string, Mishap>;

export type MishapName = keyof typeof MISHAPS;

export function mishap(name: MishapName): Mishap {
  return MISHAPS[name];
}

/** Every error of the stories is one of these: the judge knows what it may cost by its identity. */
export function mishapOf(error: ProviderError): Mishap {
  const known: readonly Mishap[] = Object.values(MISHAPS);
  return known.find((other) => other.error === error) ?? { error, costs: "retries" };
}
