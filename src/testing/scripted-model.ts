import { type Exchange, startLoopbackServer } from "./loopback-server.ts";
import { type LiveModelRequest, type ModelRequest, readModelRequest } from "./model-request.ts";
import { ObservableLog, type WaitOptions } from "./observable-log.ts";
import { sendError, sendReply, sleep, unlessAborted } from "./openai-stream.ts";
import { createGate, type Reply, type ReplySpec, type Script, ScriptReader } from "./script.ts";
import { checkReply } from "./script-keys.ts";

/** What OpenCode is told about one model. */
export interface ScriptedModelInfo {
  name?: string;
  limit?: { context: number; output: number };
  /** More fields of OpenCode's model entry, for instance `cost` or `reasoning`. */
  [key: string]: unknown;
}

export interface ScriptedModelOptions {
  /** Provider id in OpenCode. @default "scripted" */
  providerID?: string;
  /**
   * Models to offer, by id; the first one becomes the default model.
   * @default { model: {} }, with a context of 200000 and an output of 16000 tokens
   */
  models?: Readonly<Record<string, ScriptedModelInfo>>;
  /** What title requests are answered with. @default "Scripted session" */
  title?: string;
  /** What compactions are answered with. @default "Summary of the conversation so far." */
  summary?: Reply;
}

/** A request that the script could not answer: it ran out, had nothing for the session, or its function threw. */
export interface ScriptFailure {
  request: ModelRequest;
  error: unknown;
}

/** The part of an opencode.json that makes OpenCode use the scripted model. */
export interface ScriptedProviderConfig {
  provider: Record<
    string,
    { npm: string; name: string; options: Record<string, unknown>; models: Record<string, ScriptedModelInfo> }
  >;
  model: string;
  small_model: string;
}

/** A running model server; see {@link startScriptedModel}. */
export interface ScriptedModel {
  /** `http://127.0.0.1:<port>/v1` */
  readonly url: string;
  /** Every request, in order of arrival, side requests included. */
  readonly requests: readonly ModelRequest[];
  /** What the script could not answer; worth asserting to be empty. */
  readonly failures: readonly ScriptFailure[];
  /**
   * The first request that matches, also one that already came, also one that matches later by its `state`.
   * @throws WaitTimeoutError, LogEndedError when the server is closed meanwhile
   */
  waitForRequest(
    predicate: (request: ModelRequest, index: number) => boolean,
    options?: WaitOptions,
  ): Promise<ModelRequest>;
  /** Lets the replies with `hang` to all requests that have arrived so far go on. */
  releaseHangs(): void;
  providerConfig(): ScriptedProviderConfig;
  /** Drops all connections, ends all waits. Can be called again. */
  close(): Promise<void>;
}

/**
 * Starts an OpenAI-compatible model on a free loopback port that answers from a script: no network, no cost, the same
 * every time. Titles and compactions are answered without the script.
 *
 * @example A root that calls a tool and then answers
 * ```ts
 * const model = await startScriptedModel([
 *   { toolCalls: [{ name: "bash", args: { command: "echo hi", description: "greets" } }] },
 *   "The shell said hi.",
 * ])
 * ```
 * @example Root and children
 * ```ts
 * const model = await startScriptedModel({
 *   root: ({ step, toolResults }) => (step === 0 ? "First" : `Saw ${toolResults.length} results`),
 *   children: { alpha: { text: "slow", delayMs: 500 }, "*": "quick" },
 * })
 * ```
 * @throws UnknownScriptKeyError
 */
export async function startScriptedModel(script: Script, options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
  const reader = new ScriptReader(script);
  if (options.summary !== undefined) checkReply(options.summary);
  const log = new ObservableLog<LiveModelRequest>(
    "model request",
    (request) => `${request.kind} ${request.sessionID}#${request.step}`,
  );
  const failures: ScriptFailure[] = [];
  const steps = new Map<string, number>();
  let hangs = createGate();
  let calls = 0;

  const replyTo = async (request: ModelRequest): Promise<ReplySpec> => {
    if (request.kind === "title") return { text: options.title ?? "Scripted session" };
    if (request.kind === "turn") return reader.next(request);
    const summary = options.summary ?? "Summary of the conversation so far.";
    return typeof summary === "string" ? { text: summary } : summary;
  };

  const answer = async (request: LiveModelRequest, exchange: Exchange, released: Promise<void>): Promise<void> => {
    const { signal } = request;
    const reply = await unlessAborted(replyTo(request), signal);
    if (reply.until !== undefined) await unlessAborted(reply.until, signal);
    if (reply.hang) await unlessAborted(released, signal);
    await sleep(reply.delayMs ?? 0, signal);
    await sendReply(exchange, request, reply, () => `call_${++calls}`);
  };

  const fail = (request: ModelRequest, exchange: Exchange, error: unknown): void => {
    failures.push({ request, error });
    // 400 is not retried by the host: the turn ends at once and says why.
    if (exchange.headersSent) exchange.destroy();
    else sendError(exchange, 400, `scripted model: ${error instanceof Error ? error.message : String(error)}`);
  };

  const handle = async (exchange: Exchange): Promise<void> => {
    const { method, path, headers, signal } = exchange;
    const body = parseObject(exchange.body);
    if (method !== "POST" || path !== "/v1/chat/completions" || body === undefined) {
      sendError(exchange, 404, `scripted model: ${method} ${path} is not a POST of JSON to /v1/chat/completions`);
      return;
    }
    const request = readModelRequest({ headers, body, at: Date.now(), signal });
    if (request.kind === "turn") {
      request.step = steps.get(request.sessionID) ?? 0;
      steps.set(request.sessionID, request.step + 1);
    }
    // Taken before anyone can see the request, so that who has seen it can release it.
    const released = hangs.opened;
    log.append(request);
    try {
      await answer(request, exchange, released);
    } catch (error) {
      if (!signal.aborted) fail(request, exchange, error);
    }
    request.state = signal.aborted ? "disconnected" : "answered";
    log.changed();
  };

  const server = await startLoopbackServer((exchange) => void handle(exchange));
  const url = `http://127.0.0.1:${server.port}/v1`;
  let closing: Promise<void> | undefined;

  return {
    url,
    requests: log.items,
    failures,
    waitForRequest: (predicate, wait) => log.waitFor(predicate, wait),
    releaseHangs() {
      hangs.open();
      hangs = createGate();
    },
    providerConfig: () => providerConfig(url, options),
    close() {
      log.end("the scripted model was closed");
      closing ??= server.close();
      return closing;
    },
  };
}

function providerConfig(baseURL: string, options: ScriptedModelOptions): ScriptedProviderConfig {
  const providerID = options.providerID ?? "scripted";
  const models: Record<string, ScriptedModelInfo> = {};
  for (const [id, info] of Object.entries(options.models ?? { model: {} })) {
    models[id] = { name: id, tool_call: true, limit: { context: 200_000, output: 16_000 }, ...info };
  }
  const model = `${providerID}/${Object.keys(models)[0]}`;
  const entry = { npm: "@ai-sdk/openai-compatible", name: "Scripted", options: { baseURL, apiKey: "none" }, models };
  return { provider: { [providerID]: entry }, model, small_model: model };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // No JSON: the caller says what it expected.
  }
}
