import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RESET_HEADERS } from "../../src/goals/reset-time.ts";
import { troubleOf } from "../../src/goals/trouble.ts";
import { readProviderError } from "../../src/host/provider-error.ts";

/** 2026-11-21T16:19:00Z */
const NOW = 1_795_277_940_000;
const URL = { url: "http://127.0.0.1:38555/v1/chat/completions" };

/** As OpenCode 1.18.33 has published them, in `session.error` and in the assistant message alike. */
const REFUSED_KEY = {
  name: "APIError",
  data: {
    message: "Incorrect API key provided: x.",
    statusCode: 401,
    isRetryable: false,
    responseHeaders: { connection: "close", "content-type": "application/json" },
    responseBody: '{"error":{"message":"Incorrect API key provided: x.","param":null,"code":"invalid_api_key"}}',
    metadata: URL,
  },
};
const CODEX = {
  name: "APIError",
  data: {
    message: "The usage limit has been reached",
    statusCode: 429,
    isRetryable: true,
    responseHeaders: { "content-type": "application/json", "x-codex-primary-used-percent": "100" },
    responseBody:
      '{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1795283567,"resets_in_seconds":5400}}',
    metadata: URL,
  },
};
const RATE_LIMIT = {
  name: "APIError",
  data: {
    message: "Rate limit",
    statusCode: 429,
    isRetryable: true,
    responseHeaders: {
      connection: "close",
      "content-type": "application/json",
      "retry-after-ms": "150",
      "x-ratelimit-reset-requests": "6m0s",
      "x-ratelimit-reset-tokens": "1.5s",
    },
    responseBody: '{"error":{"message":"Rate limit","type":"requests","code":"rate_limit_exceeded"}}',
    metadata: URL,
  },
};
const REFUSED_CONNECTION = {
  name: "APIError",
  data: {
    message: "Cannot connect to API: Unable to connect. Is the computer able to access the url?",
    isRetryable: true,
    metadata: URL,
  },
};
const RESET_CONNECTION = {
  name: "APIError",
  data: {
    message: "Connection reset by server",
    isRetryable: true,
    metadata: { code: "ECONNRESET", syscall: "", message: "The socket connection was closed unexpectedly." },
  },
};
const IN_MID_STREAM = {
  name: "UnknownError",
  data: {
    message: '{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}',
  },
};
const RESPONSE_FAILED = {
  name: "APIError",
  data: {
    message: "Rate limit reached",
    statusCode: 429,
    isRetryable: true,
    responseHeaders: { connection: "close", "content-type": "text/event-stream" },
    responseBody:
      '{"type":"response.failed","sequence_number":1,"response":{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}}',
    metadata: URL,
  },
};
const LIMIT_IN_STREAM = {
  name: "APIError",
  data: {
    message: "limit",
    statusCode: 500,
    isRetryable: true,
    responseBody:
      '{"type":"error","sequence_number":1,"error":{"type":"usage_limit_reached","code":"usage_limit_reached"}}',
  },
};
const NO_KEY = {
  name: "ProviderAuthError",
  data: { providerID: "openai", message: "OpenAI API key is missing. Pass it using the 'apiKey' parameter." },
};
const NO_MODEL = { name: "UnknownError", data: { message: "Model not found: nobody/none." } };
const TIMED_OUT = { name: "UnknownError", data: { message: "The operation timed out." } };
const OVERFLOW = {
  name: "ContextOverflowError",
  data: { message: "prompt is too long", responseBody: '{"error":{"message":"prompt is too long"}}' },
};
const FILTERED = {
  name: "ContentFilterError",
  data: { message: "The response was blocked by the provider's content filter" },
};

describe("what OpenCode publishes becomes what can be done about it (G7)", () => {
  test.each([
    ["a refused key", REFUSED_KEY, "needs-user"],
    ["a missing key", NO_KEY, "needs-user"],
    ["a model that is not configured", NO_MODEL, "needs-user"],
    ["an empty account, told in mid-stream", IN_MID_STREAM, "needs-user"],
    ["a rate limit, told in mid-stream", RESPONSE_FAILED, "usage-limit"],
    ["a usage limit that has got a 500 in mid-stream", LIMIT_IN_STREAM, "usage-limit"],
    ["a refused connection", REFUSED_CONNECTION, "transport"],
    ["a reset connection", RESET_CONNECTION, "transport"],
    ["a context overflow", OVERFLOW, "handled-by-host"],
    ["a content filter", FILTERED, "other"],
    ["a provider's own time-out", TIMED_OUT, "other"],
  ])("%s: %#", (_, raw, kind) => {
    const error = readProviderError(raw);
    expect(error && troubleOf(error, NOW)).toMatchObject({ kind });
  });

  test("the end of a usage limit is read from the body and from the headers", () => {
    const untilOf = (raw: unknown) => {
      const error = readProviderError(raw);
      return error && troubleOf(error, NOW);
    };
    expect(untilOf(CODEX)).toEqual({ kind: "usage-limit", until: 1_795_283_567_000 });
    expect(untilOf(RATE_LIMIT)).toEqual({ kind: "usage-limit", until: NOW + 360_000 });
  });

  test("an overflow that stands in the assistant message has ended the turn", () => {
    const error = readProviderError(OVERFLOW, true);
    expect(error && troubleOf(error, NOW).kind).toBe("needs-user");
  });
});

describe("what is kept of an error", () => {
  test("name, message, status, whether it can be retried, the body, and the headers that say when", () => {
    expect(readProviderError(RATE_LIMIT)).toEqual({
      name: "APIError",
      message: "Rate limit",
      statusCode: 429,
      isRetryable: true,
      headers: { "retry-after-ms": "150", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1.5s" },
      body: '{"error":{"message":"Rate limit","type":"requests","code":"rate_limit_exceeded"}}',
    });
  });

  test("no header when none is of use, whatever the provider sends: no key, no cookie, no request id", () => {
    const responseHeaders = { "set-cookie": "a=b", "x-request-id": "req_1", authorization: "Bearer x" };
    expect(readProviderError({ name: "APIError", data: { message: "m", responseHeaders } })).toEqual({
      name: "APIError",
      message: "m",
    });
  });

  test("header names are compared in lower case; a value that is no string, or long, is left out", () => {
    const responseHeaders = { "Retry-After": "2", "X-RateLimit-Reset": 7, "x-ratelimit-reset-tokens": "9".repeat(101) };
    expect(readProviderError({ name: "APIError", data: { message: "m", responseHeaders } })?.headers).toEqual({
      "retry-after": "2",
    });
  });

  test("of a long body the first 4 KB are kept", () => {
    const raw = { name: "APIError", data: { message: "m", responseBody: "x".repeat(100_000) } };
    expect(readProviderError(raw)?.body).toHaveLength(4_096);
  });

  const QUOTED = "x".repeat(6_000);

  test.each([
    ["an empty account", { message: QUOTED, code: "insufficient_quota" }, "needs-user", undefined],
    ["an account that is alone in its object", QUOTED, "needs-user", undefined],
    ["a plan", { message: QUOTED, type: "usage_limit_reached", resets_in_seconds: 60 }, "usage-limit", NOW + 60_000],
    [
      "details",
      {
        message: QUOTED,
        status: "RESOURCE_EXHAUSTED",
        details: [...Array(9).fill({ "@type": "x".repeat(100) }), { retryDelay: "39s" }],
      },
      "usage-limit",
      NOW + 39_000,
    ],
    [
      "quoted headers",
      { code: 429, metadata: { raw: QUOTED, headers: { "X-RateLimit-Reset": String(NOW + 5_000), cookie: QUOTED } } },
      "usage-limit",
      NOW + 5_000,
    ],
  ])("of a long body that is JSON what tells is kept: %s", (_, error, kind, until) => {
    const responseBody = JSON.stringify(
      typeof error === "string" ? { message: error, code: "insufficient_quota" } : { request: QUOTED, error },
    );
    const read = readProviderError({ name: "APIError", data: { message: "m", statusCode: 429, responseBody } });
    expect(read && troubleOf(read, NOW)).toMatchObject(until === undefined ? { kind } : { kind, until });
    expect(read?.body?.length).toBeLessThanOrEqual(4_096);
    expect(read?.body).not.toContain("xxx");
  });

  test("of a body of unreasonable length nothing is parsed, and no value makes what is kept long", () => {
    const codes = { code: "insufficient_quota", type: "t".repeat(5_000) };
    const bodyOf = (error: object) => {
      const data = { message: "m", responseBody: JSON.stringify({ error }) };
      return readProviderError({ name: "APIError", data })?.body;
    };
    expect(bodyOf({ ...codes, message: "x".repeat(70_000) })).toHaveLength(4_096);
    const details = Array.from({ length: 400 }, () => ({ reason: "r".repeat(60), retryDelay: "9".repeat(60) }));
    const headers = Object.fromEntries([...RESET_HEADERS].map((name) => [name, "9".repeat(60)]));
    const body = bodyOf({ ...codes, details, metadata: { headers } });
    expect(body).toContain('"code":"insufficient_quota"');
    expect(body?.length).toBeLessThanOrEqual(4_096);
  });

  test("a message that is an object in JSON stands in for a body, and no other message does", () => {
    expect(readProviderError(IN_MID_STREAM)?.body).toContain('"code":"insufficient_quota"');
    expect(readProviderError(NO_MODEL)).not.toHaveProperty("body");
  });

  test("what has no name is no error", () => {
    for (const nothing of [undefined, null, "error", {}, { data: REFUSED_KEY.data }]) {
      expect(readProviderError(nothing)).toBeUndefined();
    }
  });
});

test("nothing of whatever shape makes reading, or sorting what was read, throw (Z1)", () => {
  const field = fc.anything();
  const data = fc.record(
    { message: field, statusCode: field, isRetryable: field, responseHeaders: field, responseBody: field },
    { requiredKeys: [] },
  );
  const shaped = fc.record({ name: fc.string(), data });
  fc.assert(
    fc.property(fc.oneof(field, shaped), fc.boolean(), (value, final) => {
      const error = readProviderError(value, final);
      if (error !== undefined) troubleOf(error, NOW);
    }),
    { numRuns: 500 },
  );
});
