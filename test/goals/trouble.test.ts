import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Trouble, troubleOf } from "../../src/goals/trouble.ts";
import type { ProviderError } from "../../src/host/port.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** 2026-11-21T16:19:00Z */
const NOW = 1_795_277_940_000;

function apiError(more: Partial<ProviderError> = {}): ProviderError {
  return { name: "APIError", message: "what the provider says", ...more };
}

function said(error: object): string {
  return JSON.stringify({ error });
}

function kindOf(error: ProviderError): Trouble["kind"] {
  return troubleOf(error, NOW).kind;
}

function fixOf(error: ProviderError): string {
  const trouble = troubleOf(error, NOW);
  return trouble.kind === "needs-user" ? trouble.fix : trouble.kind;
}

/** How long after now the limit ends; undefined when it is not known. */
function waitOf(more: Partial<ProviderError>): number | undefined {
  const trouble = troubleOf(apiError({ statusCode: 429, isRetryable: true, ...more }), NOW);
  if (trouble.kind !== "usage-limit") throw new Error(`it is ${trouble.kind}`);
  return trouble.until === undefined ? undefined : trouble.until - NOW;
}

describe("what can be done about an error (G7)", () => {
  test.each([
    ["a refused key", 401, /opencode auth login/],
    ["an account that must pay", 402, /billing/],
    ["access that is denied", 403, /permissions/],
    ["a model that the provider does not have", 404, /model/],
  ])("%s is the user's to fix, and the fix is named", (_, statusCode, fix) => {
    expect(fixOf(apiError({ statusCode, isRetryable: false }))).toMatch(fix);
  });

  test("a key that is missing is the user's to fix", () => {
    expect(fixOf({ name: "ProviderAuthError", message: "OpenAI API key is missing." })).toContain(
      "opencode auth login",
    );
  });

  test.each([408, 409, 500, 502, 503, 504, 529])("%i is worth another try", (statusCode) => {
    expect(troubleOf(apiError({ statusCode, isRetryable: true }), NOW)).toEqual({ kind: "transport" });
  });

  test("a connection that is refused, reset or timed out has no status, and is worth another try", () => {
    expect(kindOf(apiError({ message: "Connection reset by server", isRetryable: true }))).toBe("transport");
  });

  test("an overloaded provider is not asked before the moment that it names", () => {
    const error = apiError({ statusCode: 503, headers: { "retry-after": "90" } });
    expect(troubleOf(error, NOW)).toEqual({ kind: "transport", until: NOW + 90 * SECOND });
  });

  test("an allowance that is listed with a failure of the provider has nothing to do with it", () => {
    const headers = {
      "anthropic-ratelimit-unified-reset": String((NOW + 7 * DAY) / SECOND),
      "x-ratelimit-reset-requests": "6m0s",
    };
    for (const statusCode of [502, 529]) {
      expect(troubleOf(apiError({ statusCode, headers }), NOW)).toEqual({ kind: "transport" });
      const error = apiError({ statusCode, headers: { ...headers, "retry-after-ms": "1500" } });
      expect(troubleOf(error, NOW)).toEqual({ kind: "transport", until: NOW + 1_500 });
    }
    const body = said({ type: "overloaded_error", resets_in_seconds: 86_400 });
    expect(troubleOf(apiError({ statusCode: 529, body }), NOW)).toEqual({ kind: "transport" });
  });

  test("a context overflow that is published is handled by the host, one that ended the turn is not", () => {
    const error = { name: "ContextOverflowError", message: "prompt is too long" };
    expect(kindOf(error)).toBe("handled-by-host");
    expect(fixOf({ ...error, final: true })).toMatch(/too large/);
  });

  test.each([400, 413, 422])("%i without a code that is known tells nothing", (statusCode) => {
    const body = said({ message: "Invalid value", type: "invalid_request_error", param: null });
    expect(kindOf(apiError({ statusCode, isRetryable: false, body }))).toBe("other");
  });

  test.each([
    "ContentFilterError",
    "MessageOutputLengthError",
    "StructuredOutputError",
    "MessageAbortedError",
    "UnknownError",
  ])("%s is none of these", (name) => {
    expect(kindOf({ name, message: "429 rate limit, unauthorized" })).toBe("other");
  });
});

describe("codes in the body", () => {
  test.each([
    ["insufficient_quota", 429, /billing/],
    ["insufficient_quota", 400, /billing/],
    ["billing_hard_limit_reached", 400, /billing/],
    ["billing_not_active", 429, /billing/],
    ["usage_not_included", 429, /billing/],
    ["billing_error", 400, /billing/],
    ["CreditsError", 401, /billing/],
    ["MonthlyLimitError", 401, /billing/],
    ["UserLimitError", 401, /billing/],
    ["1113", 429, /billing/],
    ["invalid_api_key", 400, /key/],
    ["authentication_error", undefined, /key/],
    ["API_KEY_INVALID", 400, /key/],
    ["permission_error", undefined, /access/],
    ["model_not_found", 400, /no such model/],
    ["not_found_error", undefined, /no such model/],
    ["ModelError", 401, /no such model/],
  ])(
    "%s (%p) is the user's to fix, whatever the status and although OpenCode has retried it",
    (code, statusCode, fix) => {
      const status = statusCode === undefined ? {} : { statusCode };
      expect(fixOf(apiError({ ...status, isRetryable: true, body: said({ code }) }))).toMatch(fix);
    },
  );

  test.each([
    ["usage_limit_reached", 500],
    ["rate_limit_exceeded", undefined],
    ["rate_limit_error", undefined],
    ["RESOURCE_EXHAUSTED", undefined],
    ["FreeUsageLimitError", 429],
    ["GoUsageLimitError", 429],
  ])("%s (%p) is a usage limit", (type, statusCode) => {
    const status = statusCode === undefined ? {} : { statusCode };
    expect(kindOf(apiError({ ...status, body: said({ type }) }))).toBe("usage-limit");
  });

  test.each(["api_error", "server_error"])("%s says less than a status that refuses", (type) => {
    const body = said({ type });
    expect(fixOf(apiError({ statusCode: 401, body }))).toMatch(/opencode auth login/);
    expect(fixOf(apiError({ statusCode: 402, body }))).toMatch(/billing/);
    expect(fixOf(apiError({ statusCode: 403, body }))).toMatch(/permissions/);
    expect(fixOf(apiError({ body: said({ type, status: 401 }) }))).toMatch(/opencode auth login/);
    expect(kindOf(apiError({ statusCode: 400, body }))).toBe("transport");
    const told = said({ type, details: [{ reason: "insufficient_quota" }] });
    expect(fixOf(apiError({ statusCode: 401, body: told }))).toMatch(/billing/);
  });

  test.each(["server_error", "server_is_overloaded", "overloaded_error", "api_error", "UNAVAILABLE"])(
    "%s in mid-stream, without a status, is worth another try",
    (type) => {
      expect(kindOf({ name: "UnknownError", message: "Overloaded", body: said({ type }) })).toBe("transport");
    },
  );

  test.each([
    ["alone, in mid-stream", { code: "insufficient_quota" }],
    ["in an error", { error: { code: "insufficient_quota" } }],
    ["in an error in a list", [{ error: { code: "insufficient_quota" } }]],
    ["in a response that failed", { type: "response.failed", response: { error: { code: "insufficient_quota" } } }],
    ["as the type", { type: "error", error: { type: "insufficient_quota", code: null } }],
    ["as the status", { error: { code: 429, status: "insufficient_quota" } }],
    ["as a reason among details", { error: { details: [null, { reason: "insufficient_quota" }] } }],
  ])("a code is found %s", (_, body) => {
    expect(fixOf(apiError({ statusCode: 429, body: JSON.stringify(body) }))).toMatch(/billing/);
  });

  test("a number that stands in for the status is one, where there is no status", () => {
    expect(kindOf({ name: "UnknownError", message: "", body: said({ code: 429 }) })).toBe("usage-limit");
    expect(kindOf(apiError({ statusCode: 400, body: said({ code: 429 }) }))).toBe("other");
  });

  test.each(["<!doctype html><h1>Forbidden</h1>", "", "{", '{"error":{"code":"insufficient_q', "null", "[]", "429"])(
    "of a body that is no object (%p) the status remains",
    (body) => expect(fixOf(apiError({ statusCode: 403, body }))).toMatch(/access/),
  );
});

describe("where words are all there is", () => {
  test.each([
    ["Model not found: acme/none.", "UnknownError", undefined, /no such model/],
    ["ProviderModelNotFoundError: Model not found: acme/none.\n    at <anonymous>", "UnknownError", undefined, /model/],
    ["Your credit balance is too low to access the Anthropic API. Please go to …", "APIError", 400, /billing/],
  ])("%s", (message, name, statusCode, fix) => {
    expect(fixOf({ name, message, ...(statusCode === undefined ? {} : { statusCode }) })).toMatch(fix);
  });

  test("the same words in the middle of others, or in another error, say nothing", () => {
    expect(kindOf({ name: "UnknownError", message: "The tool said: Model not found: x" })).toBe("other");
    expect(kindOf(apiError({ message: "Model not found: x", statusCode: 400 }))).toBe("other");
  });
});

describe("when a usage limit ends", () => {
  test("not known when nothing is said", () => {
    expect(waitOf({})).toBeUndefined();
    expect(waitOf({ headers: {}, body: said({ code: "rate_limit_exceeded" }) })).toBeUndefined();
  });

  test.each([
    ["retry-after", "2", 2 * SECOND],
    ["retry-after", "3600", HOUR],
    ["retry-after", "Sat, 21 Nov 2026 16:25:00 GMT", 6 * MINUTE],
    ["retry-after-ms", "1500", 1_500],
    ["x-ratelimit-reset", "45", 45 * SECOND],
    ["x-ratelimit-reset", String(NOW / SECOND + 60), MINUTE],
    ["x-ratelimit-reset", String(NOW + MINUTE), MINUTE],
    ["retry-after", " 60", MINUTE],
    ["retry-after-ms", "1500 ", 1_500],
    ["x-ratelimit-reset-requests", " 6m0s\t", 6 * MINUTE],
    ["x-ratelimit-reset-requests", "6m0s", 6 * MINUTE],
    ["x-ratelimit-reset-requests", "1d2h", 26 * HOUR],
    ["x-ratelimit-reset-tokens", "1.5s", 1_500],
    ["x-ratelimit-reset-tokens", "2m59.56s", 179_560],
    ["x-ratelimit-reset-tokens", "20ms", 20],
    ["anthropic-ratelimit-requests-reset", "2026-11-21T16:25:00Z", 6 * MINUTE],
    ["anthropic-ratelimit-unified-reset", String(NOW / SECOND + 3_600), HOUR],
  ])("%s: %s", (header, value, wait) => {
    expect(waitOf({ headers: { [header]: value } })).toBe(wait);
  });

  test.each([
    ["Codex, a moment", { type: "usage_limit_reached", resets_at: NOW / SECOND + 5_400 }, 90 * MINUTE],
    ["with blanks", { type: "usage_limit_reached", resets_in_seconds: " 60 " }, MINUTE],
    ["Codex, a delay", { type: "usage_limit_reached", resets_in_seconds: 5_400 }, 90 * MINUTE],
    ["Google", { status: "RESOURCE_EXHAUSTED", details: [{ "@type": "…" }, { retryDelay: "39s" }] }, 39 * SECOND],
    ["OpenRouter", { code: 429, metadata: { headers: { "X-RateLimit-Reset": String(NOW + HOUR) } } }, HOUR],
  ])("%s says it in the body", (_, error, wait) => {
    expect(waitOf({ body: said(error) })).toBe(wait);
  });

  test.each([
    "0",
    "-5",
    "soon",
    "",
    "1e9",
    "Infinity",
    "2001-01-01T00:00:00Z",
    String(8 * 86_400 + 1),
    "5 6",
    "Nov 21 2026 16:25",
    "11/22/2026",
    "m",
    "99999999999999999999",
  ])("what is not in the future, too far away or no time at all (%p) is not believed", (value) =>
    expect(waitOf({ headers: { "retry-after": value } })).toBeUndefined(),
  );

  test("a week is believed", () => {
    expect(waitOf({ headers: { "retry-after": String(7 * 86_400) } })).toBe(7 * DAY);
  });

  test("the latest moment counts: the host has waited out a short retry-after already", () => {
    expect(waitOf({ headers: { "retry-after": "2", "x-ratelimit-reset-requests": "6m0s" } })).toBe(6 * MINUTE);
    expect(waitOf({ headers: { "retry-after-ms": "9" }, body: said({ resets_in_seconds: 60 }) })).toBe(MINUTE);
  });

  test("an allowance that is not used up says nothing", () => {
    const both = { "x-ratelimit-reset-requests": "8h", "x-ratelimit-reset-tokens": "30s" };
    expect(
      waitOf({ headers: { ...both, "x-ratelimit-remaining-requests": "9", "x-ratelimit-remaining-tokens": "0" } }),
    ).toBe(30 * SECOND);
    const subscription = { "anthropic-ratelimit-unified-reset": String(NOW / SECOND + 3_600) };
    expect(
      waitOf({ headers: { ...subscription, "anthropic-ratelimit-unified-status": "allowed_warning" } }),
    ).toBeUndefined();
    expect(waitOf({ headers: { ...subscription, "anthropic-ratelimit-unified-status": "rejected" } })).toBe(HOUR);
  });
});

test("nothing that is said makes it throw, and no moment is named that is past or more than 8 days away (Z1)", () => {
  const someValue = fc.oneof(
    fc.string(),
    fc.double().map(String),
    fc.integer().map(String),
    fc.date({ noInvalidDate: true }).map(String),
  );
  const names = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "anthropic-ratelimit-unified-reset"];
  const someError = fc.record(
    {
      name: fc.constantFrom("APIError", "UnknownError", "ContextOverflowError", "constructor", ""),
      message: fc.string(),
      statusCode: fc.oneof(fc.constantFrom(400, 401, 429, 503), fc.double()),
      headers: fc.dictionary(fc.constantFrom(...names), someValue),
      body: fc.oneof(
        fc.string(),
        fc.json(),
        fc
          .record({
            code: fc.jsonValue(),
            resets_at: fc.jsonValue(),
            details: fc.jsonValue(),
            metadata: fc.jsonValue(),
          })
          .map(said),
      ),
      isRetryable: fc.boolean(),
      final: fc.boolean(),
    },
    { requiredKeys: ["name", "message"] },
  );
  fc.assert(
    fc.property(someError, (error) => {
      const trouble = troubleOf(error, NOW);
      if (!("until" in trouble)) return;
      expect(trouble.until).toBeGreaterThan(NOW);
      expect(trouble.until).toBeLessThanOrEqual(NOW + 8 * DAY);
    }),
    { numRuns: 500 },
  );
});
