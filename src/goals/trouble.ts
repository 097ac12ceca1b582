import type { ProviderError } from "../host/port.ts";
import { list, type Raw, record, text } from "../host/raw.ts";
import { resetOf, retryAfterOf } from "./reset-time.ts";

/** What can be done about an error that ended a turn. */
export type Trouble =
  /** The provider could not be reached, or failed. Worth another try with back-off, not before `until`. */
  | { readonly kind: "transport"; readonly until?: number }
  /** Too much was asked of the provider. `until`: when it will take requests again, epoch ms, where it says so. */
  | { readonly kind: "usage-limit"; readonly until?: number }
  /** The same request fails until somebody changes something. `fix`: what, in words for the user. */
  | { readonly kind: "needs-user"; readonly fix: string }
  /** No failure of the turn: the host goes on by itself. */
  | { readonly kind: "handled-by-host" }
  /** Nothing is known that tells whether another try can help. */
  | { readonly kind: "other" };

type Cause =
  | "auth"
  | "access"
  | "billing"
  | "model"
  | "too-large"
  | "transport"
  | "usage-limit"
  | "compacting"
  | "other";

/**
 * Sorts an error of a turn by what can be done about it. Pure. `now` is epoch ms.
 *
 * OpenCode 1.18 has tried by itself before it reports: after 408, 409, 429, 5xx and lost connections it asks up to five
 * times more, waits 2, 4, 8, 16 and 32 s or whatever `retry-after` says, and shows that as retrying. It does not know any
 * other statement of when a limit ends. An abort is sorted out by whoever asks: here it is `other`.
 *
 * @example troubleOf({ name: "APIError", message: "…", statusCode: 401 }, now).kind // "needs-user"
 */
export function troubleOf(error: ProviderError, now: number): Trouble {
  const cause = causeOf(error);
  switch (cause) {
    case "transport":
    case "usage-limit": {
      const says = cause === "transport" ? retryAfterOf : resetOf;
      const until = says(error.headers ?? {}, providerError(error.body), now);
      return { kind: cause, ...(until === undefined ? {} : { until }) };
    }
    case "auth":
    case "access":
    case "billing":
    case "model":
    case "too-large":
      return { kind: "needs-user", fix: FIXES[cause] };
    case "compacting":
      return { kind: "handled-by-host" };
    case "other":
      return { kind: "other" };
  }
}

const FIXES = {
  auth: "the provider does not accept the key, or there is none: run `opencode auth login`, or correct the key in opencode.json",
  access: "the provider denies access: check the account and its permissions, or choose another model",
  billing: "the provider wants to be paid: check credit, plan and billing of the account, or choose another model",
  model: "there is no such model: choose another one, or correct provider and model in opencode.json",
  "too-large":
    "the conversation is too large for the model, and OpenCode has not compacted it: choose a model with a larger context, switch automatic compaction on, or begin a new session",
} as const;

/**
 * Codes say more than the status: an account without credit is 429 at OpenAI and 401 at OpenCode's own gateway; what fails
 * in mid-stream has a code and no status. They stand in `code`, `type`, `status` or `reason`, depending on the provider.
 */
const CODES: ReadonlyMap<string, Cause> = new Map([
  // OpenAI, and who speaks its language. OpenCode retries the first ones although it cannot help.
  ["insufficient_quota", "billing"],
  ["billing_hard_limit_reached", "billing"],
  ["billing_not_active", "billing"],
  ["usage_not_included", "billing"],
  ["usage_limit_reached", "usage-limit"],
  ["rate_limit_exceeded", "usage-limit"],
  ["invalid_api_key", "auth"],
  ["model_not_found", "model"],
  ["server_error", "transport"],
  ["server_is_overloaded", "transport"],
  // Anthropic
  ["authentication_error", "auth"],
  ["permission_error", "access"],
  ["billing_error", "billing"],
  ["not_found_error", "model"],
  ["rate_limit_error", "usage-limit"],
  ["overloaded_error", "transport"],
  ["api_error", "transport"],
  // Google
  ["API_KEY_INVALID", "auth"],
  ["RESOURCE_EXHAUSTED", "usage-limit"],
  ["UNAVAILABLE", "transport"],
  // OpenCode Zen and Go
  ["CreditsError", "billing"],
  ["MonthlyLimitError", "billing"],
  ["UserLimitError", "billing"],
  ["ModelError", "model"],
  ["FreeUsageLimitError", "usage-limit"],
  ["GoUsageLimitError", "usage-limit"],
  // Z.ai: no balance
  ["1113", "billing"],
] satisfies [string, Cause][]);

/** They say that something has failed, and not what: gateways give them with a refused key, too. */
const GENERIC_CODES: ReadonlySet<string> = new Set(["api_error", "server_error"]);
/** They say more than a generic code does: another try does not help. */
const REFUSALS: ReadonlySet<number | undefined> = new Set([401, 402, 403]);

/** Where there is neither a code nor a status that tells. */
const TEXTS: readonly { readonly name: string; readonly says: RegExp; readonly cause: Cause }[] = [
  // OpenCode, for a model that its configuration does not have: two errors, the second one with a stack, and no message.
  { name: "UnknownError", says: /^(?:ProviderModelNotFoundError: )?Model not found: /, cause: "model" },
  // Anthropic, without credit: 400 and `invalid_request_error`, as for any request that is not well-formed.
  { name: "APIError", says: /^Your credit balance is too low to access the Anthropic API/, cause: "billing" },
];

function causeOf(error: ProviderError): Cause {
  if (error.name === "ProviderAuthError") return "auth";
  // OpenCode publishes it, compacts and goes on. Only where it cannot, or may not, the assistant message has it as well.
  if (error.name === "ContextOverflowError") return error.final === true ? "too-large" : "compacting";
  const codes = codesOf(providerError(error.body));
  const status = error.statusCode ?? codes.map(Number).find((code) => code >= 400 && code < 600);
  const isRefused = REFUSALS.has(status);
  for (const code of codes) {
    if (isRefused && GENERIC_CODES.has(code)) continue;
    const cause = CODES.get(code);
    if (cause !== undefined) return cause;
  }
  const cause = causeOfStatus(status);
  if (cause !== "other") return cause;
  const told = TEXTS.find(({ name, says }) => name === error.name && says.test(error.message));
  if (told !== undefined) return told.cause;
  return error.isRetryable === true ? "transport" : "other";
}

function causeOfStatus(status: number | undefined): Cause {
  if (status === undefined) return "other";
  if (status === 401) return "auth";
  if (status === 402) return "billing";
  if (status === 403) return "access";
  if (status === 404) return "model";
  if (status === 429) return "usage-limit";
  return status === 408 || status === 409 || status >= 500 ? "transport" : "other";
}

/** What describes the error: `{error}`, `[{error}]`, in mid-stream `{response: {error}}` or it alone. {} if it is no JSON. */
export function providerError(body: string | undefined): Raw {
  if (body === undefined || !/^\s*[{[]/.test(body)) return {};
  try {
    const parsed: unknown = JSON.parse(body);
    const outer = record(Array.isArray(parsed) ? parsed[0] : parsed);
    const inner = outer.error ?? record(outer.response).error;
    return typeof inner === "object" && inner !== null ? record(inner) : outer;
  } catch {
    return {}; // A page of HTML, or cut off: the status has to do.
  }
}

function codesOf(error: Raw): readonly string[] {
  const reasons = list(error.details).map((detail) => record(detail).reason);
  return [error.code, error.type, error.status, ...reasons].flatMap((code) =>
    typeof code === "number" ? [String(code)] : (text(code) ?? []),
  );
}
