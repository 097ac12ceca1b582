import { setTimeout as pause } from "node:timers/promises";
import { deferred } from "./deferred.ts";
import type { Exchange } from "./loopback-server.ts";
import { type ModelRequest, textOf } from "./model-request.ts";
import type { ReplySpec } from "./script.ts";

/** Ends a response with an error in the form OpenAI-compatible clients expect. */
export function sendError(
  response: Exchange,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ error: { message, type: "scripted_error", code: String(status) } }));
}

/**
 * Sends a reply as one chat completion: streamed when the request asked for it, else as one JSON object. Delays before
 * the answer are not its business. Rejects when `request.signal` is aborted.
 */
export async function sendReply(
  response: Exchange,
  request: ModelRequest,
  reply: ReplySpec,
  newCallID: () => string,
): Promise<void> {
  if (reply.error !== undefined) {
    sendError(response, reply.error.status, reply.error.message, reply.error.headers);
    return;
  }
  const answer = complete(request, reply, newCallID);
  if (request.body.stream === true) await stream(response, request, reply, answer);
  else await sendWhole(response, request, reply, answer);
}

interface Answer {
  text: string;
  toolCalls: { id: string; type: "function"; function: { name: string; arguments: string } }[];
  finish: string;
  usage: Record<string, unknown>;
}

function complete(request: ModelRequest, reply: ReplySpec, newCallID: () => string): Answer {
  const text = reply.text ?? "";
  const toolCalls = (reply.toolCalls ?? []).map(({ id, name, args = {} }) => ({
    id: id ?? newCallID(),
    type: "function" as const,
    function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args) },
  }));
  const promptLength = request.messages.reduce((length, message) => length + textOf(message).length, 0);
  const replyLength = text.length + (reply.reasoning ?? "").length + JSON.stringify(toolCalls).length;
  const prompt = reply.usage?.promptTokens ?? Math.ceil(promptLength / 4);
  const completion = reply.usage?.completionTokens ?? Math.ceil(replyLength / 4);
  return {
    text,
    toolCalls,
    finish: reply.finish ?? (toolCalls.length > 0 ? "tool_calls" : "stop"),
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: reply.usage?.cachedTokens ?? 0 },
      completion_tokens_details: { reasoning_tokens: reply.usage?.reasoningTokens ?? 0 },
    },
  };
}

async function sendWhole(response: Exchange, request: ModelRequest, reply: ReplySpec, answer: Answer): Promise<void> {
  await sleep(reply.keepOpenMs ?? 0, request.signal);
  const message = {
    role: "assistant",
    content: answer.text === "" ? null : answer.text,
    ...(reply.reasoning === undefined ? {} : { reasoning_content: reply.reasoning }),
    ...(answer.toolCalls.length === 0 ? {} : { tool_calls: answer.toolCalls }),
  };
  const choices = [{ index: 0, message, finish_reason: answer.finish }];
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ ...frame(request, "chat.completion"), choices, usage: answer.usage }));
}

async function stream(response: Exchange, request: ModelRequest, reply: ReplySpec, answer: Answer): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const head = frame(request, "chat.completion.chunk");
  const send = (delta: object, finish: string | null = null): void => {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    response.write(`data: ${JSON.stringify({ ...head, choices })}\n\n`);
  };

  send({ role: "assistant" });
  if (reply.reasoning) send({ reasoning_content: reply.reasoning });
  let first = true;
  for (const content of pieces(answer.text, reply.chunks ?? (reply.chunkMs ? 8 : 1))) {
    if (!first) await sleep(reply.chunkMs ?? 0, request.signal);
    first = false;
    send({ content });
  }
  for (const [index, call] of answer.toolCalls.entries()) send({ tool_calls: [{ index, ...call }] });
  send({}, answer.finish);
  response.write(`data: ${JSON.stringify({ ...head, choices: [], usage: answer.usage })}\n\n`);
  await sleep(reply.keepOpenMs ?? 0, request.signal);
  response.end("data: [DONE]\n\n");
}

function frame(request: ModelRequest, object: string): Record<string, unknown> {
  return {
    id: `chatcmpl-${request.sessionID}-${request.step}`,
    object,
    created: Math.floor(request.at / 1000),
    model: request.modelID,
  };
}

function pieces(text: string, count: number): string[] {
  const characters = [...text];
  const size = Math.max(1, Math.ceil(characters.length / Math.max(1, count)));
  const result: string[] = [];
  for (let at = 0; at < characters.length; at += size) result.push(characters.slice(at, at + size).join(""));
  return result;
}

/** Waits, and rejects when the signal is aborted. `Infinity` waits for the abort. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === Number.POSITIVE_INFINITY) await unlessAborted(deferred<never>().promise, signal);
  else if (ms > 0) await pause(ms, undefined, { signal });
}

/** The promise's result, or a rejection as soon as the signal is aborted. */
export async function unlessAborted<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = deferred<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
