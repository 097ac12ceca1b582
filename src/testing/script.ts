import { deferred } from "./deferred.ts";
import type { ModelRequest } from "./model-request.ts";
import { checkReply, checkScript } from "./script-keys.ts";

/** One tool call of a reply. */
export interface ScriptedToolCall {
  name: string;
  /** An object is sent as JSON; a string is sent as it is, also when it is not JSON. */
  args?: Record<string, unknown> | string;
  /** @default a fresh `call_<n>` */
  id?: string;
}

/** What the model reports to have used. Whatever is left out is estimated from the length of the texts. */
export interface ScriptedUsage {
  promptTokens?: number;
  completionTokens?: number;
  /** Part of `promptTokens`. */
  cachedTokens?: number;
  /** Part of `completionTokens`. */
  reasoningTokens?: number;
}

/** An HTTP error instead of an answer. OpenCode retries 429 and 5xx: each retry is a request of its own. */
export interface ScriptedError {
  status: number;
  message: string;
  headers?: Record<string, string>;
}

/** What the model answers to one request. All delays are milliseconds. */
export interface ReplySpec {
  text?: string;
  reasoning?: string;
  toolCalls?: readonly ScriptedToolCall[];
  /** @default "tool_calls" with tool calls, else "stop" */
  finish?: "stop" | "tool_calls" | "length" | "content_filter" | (string & {});
  usage?: ScriptedUsage;
  error?: ScriptedError;
  /** Nothing is sent before this promise is fulfilled; see {@link createGate}. */
  until?: PromiseLike<unknown>;
  /** Nothing is sent until the client goes away or `model.releaseHangs()` is called; then the reply goes on. */
  hang?: boolean;
  /** Nothing is sent for so long (after `until`). */
  delayMs?: number;
  /** In how many pieces the text is streamed. @default 1, or 8 with `chunkMs` */
  chunks?: number;
  /** Pause between two pieces. @default 0 */
  chunkMs?: number;
  /** Keeps the stream open so long after everything was sent; `Infinity`: until the client goes away. */
  keepOpenMs?: number;
}

/** A string is short for `{ text }`. */
export type Reply = string | ReplySpec;
export type ReplyFunction = (request: ModelRequest) => Reply | Promise<Reply>;

/**
 * What answers the requests of a session:
 * - one reply: answers every request;
 * - an array: one reply for each request of that session, in order; a request after the last one fails with a
 *   {@link ScriptExhaustedError}. Each session walks through the array on its own;
 * - a function: gets the request. `request.step` counts the requests of that session from 0.
 */
export type ReplySource = Reply | readonly (Reply | ReplyFunction)[] | ReplyFunction;

/**
 * Different sources for the session a person talks to and for its children.
 *
 * @example
 * ```ts
 * const script: SessionScript = {
 *   root: [{ toolCalls: [{ name: "task", args: { description: "a", prompt: "alpha", subagent_type: "general" } }] }, "Done."],
 *   children: { alpha: "Alpha's answer", "*": "Any other child's answer" },
 * }
 * ```
 */
export interface SessionScript {
  /** Sessions without a parent. */
  root?: ReplySource;
  /** The first key that the child's first prompt contains wins; `"*"` takes the children that no key fits. */
  children?: Readonly<Record<string, ReplySource>>;
}

export type Script = ReplySource | SessionScript;

/** A session asked more often than its array has replies. The host gets a 400, which it does not retry. */
export class ScriptExhaustedError extends Error {
  override readonly name = "ScriptExhaustedError";
  readonly sessionID: string;
  readonly replies: number;

  constructor(sessionID: string, replies: number) {
    super(
      `The script ran out: session ${sessionID} made request ${replies + 1}, and its script has ${replies} replies`,
    );
    this.sessionID = sessionID;
    this.replies = replies;
  }
}

/** No part of the script is for this session. The host gets a 400, which it does not retry. */
export class NoScriptForSessionError extends Error {
  override readonly name = "NoScriptForSessionError";
  readonly sessionID: string;
  readonly prompt: string;

  constructor(sessionID: string, parentSessionID: string | undefined, prompt: string) {
    const which = parentSessionID === undefined ? "root session" : "child session";
    super(
      `The script has nothing for ${which} ${sessionID}, whose first prompt is ${JSON.stringify(prompt.slice(0, 200))}`,
    );
    this.sessionID = sessionID;
    this.prompt = prompt;
  }
}

/** Holds replies back until a test opens it. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/**
 * @example
 * ```ts
 * const gate = createGate()
 * const model = await startScriptedModel({ text: "late", until: gate.opened })
 * gate.open()
 * ```
 */
export function createGate(): Gate {
  const { promise, resolve } = deferred();
  return { opened: promise, open: resolve };
}

/** Finds the reply for a request, and remembers where each session stands. */
export class ScriptReader {
  readonly #script: Script;
  readonly #sessions = new Map<string, { source: ReplySource | undefined; used: number }>();

  /** @throws UnknownScriptKeyError */
  constructor(script: Script) {
    checkScript(script);
    this.#script = script;
  }

  async next(request: ModelRequest): Promise<ReplySpec> {
    let place = this.#sessions.get(request.sessionID);
    if (place === undefined) {
      place = { source: sourceFor(this.#script, request), used: 0 };
      this.#sessions.set(request.sessionID, place);
    }
    const { source } = place;
    if (source === undefined) {
      throw new NoScriptForSessionError(request.sessionID, request.parentSessionID, request.firstUserText);
    }
    if (!isList(source)) return asSpec(typeof source === "function" ? await source(request) : source);
    const entry = source[place.used];
    if (entry === undefined) throw new ScriptExhaustedError(request.sessionID, source.length);
    place.used += 1;
    return asSpec(typeof entry === "function" ? await entry(request) : entry);
  }
}

function sourceFor(script: Script, request: ModelRequest): ReplySource | undefined {
  if (typeof script !== "object" || isList(script) || !isSessionScript(script)) return script;
  if (request.parentSessionID === undefined) return script.root;
  const children = script.children ?? {};
  const key = Object.keys(children).find((name) => name !== "*" && request.firstUserText.includes(name));
  return children[key ?? "*"];
}

function isSessionScript(script: ReplySpec | SessionScript): script is SessionScript {
  return "root" in script || "children" in script;
}

function isList(source: Script): source is readonly (Reply | ReplyFunction)[] {
  return Array.isArray(source);
}

function asSpec(reply: Reply): ReplySpec {
  checkReply(reply);
  return typeof reply === "string" ? { text: reply } : reply;
}
