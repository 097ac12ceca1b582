import type { ReplySpec, Script, ScriptedError, ScriptedToolCall, ScriptedUsage, SessionScript } from "./script.ts";

/** A script says something that there is not, e.g. `{ status: 401 }`: left out in silence it would be an empty reply. */
export class UnknownScriptKeyError extends TypeError {
  override readonly name = "UnknownScriptKeyError";

  constructor(
    readonly key: string,
    where: string,
    known: readonly string[],
  ) {
    super(`The script has the key ${JSON.stringify(key)} in ${where}; there are: ${known.join(", ")}`);
  }
}

/** Complete, because the compiler asks for each of them. */
type Keys<T> = Readonly<Record<keyof T, true>>;

const SESSIONS: Keys<SessionScript> = { root: true, children: true };
const REPLY: Keys<ReplySpec> = {
  text: true,
  reasoning: true,
  toolCalls: true,
  finish: true,
  usage: true,
  error: true,
  until: true,
  hang: true,
  delayMs: true,
  chunks: true,
  chunkMs: true,
  keepOpenMs: true,
};
const TOOL_CALL: Keys<ScriptedToolCall> = { name: true, args: true, id: true };
const ERROR: Keys<ScriptedError> = { status: true, message: true, headers: true };
const USAGE: Keys<ScriptedUsage> = {
  promptTokens: true,
  completionTokens: true,
  cachedTokens: true,
  reasoningTokens: true,
};

/**
 * Checks what a script says before anybody asks; what its functions answer is checked when they do.
 *
 * @throws UnknownScriptKeyError
 */
export function checkScript(script: Script): void {
  if (!isObject(script) || Array.isArray(script) || !("root" in script || "children" in script))
    return checkSource(script);
  checkKeys(script, SESSIONS, "the script");
  const { root, children = {} } = script as SessionScript;
  for (const source of [root, ...Object.values(children)]) checkSource(source);
}

/** @throws UnknownScriptKeyError, or a TypeError when it is no reply at all */
export function checkReply(reply: unknown): void {
  if (typeof reply === "string") return;
  if (!isObject(reply)) throw new TypeError(`A reply is ${String(reply)}; a string or an object was expected`);
  checkKeys(reply, REPLY, "a reply");
  const { toolCalls = [], error, usage } = reply as ReplySpec;
  for (const toolCall of toolCalls) checkKeys(toolCall, TOOL_CALL, "a tool call");
  if (error !== undefined) checkKeys(error, ERROR, "an error");
  if (usage !== undefined) checkKeys(usage, USAGE, "a usage");
}

function checkSource(source: unknown): void {
  const replies: readonly unknown[] = Array.isArray(source) ? source : source === undefined ? [] : [source];
  for (const reply of replies) if (typeof reply !== "function") checkReply(reply);
}

function checkKeys(value: object, known: Readonly<Record<string, true>>, where: string): void {
  for (const key of Object.keys(value))
    if (!Object.hasOwn(known, key)) throw new UnknownScriptKeyError(key, where, Object.keys(known));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
