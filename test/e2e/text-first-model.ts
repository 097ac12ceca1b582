import type { ScriptedProviderConfig } from "../../src/testing/index.ts";

/**
 * A model that sends its text before its tool calls, as Anthropic's do: OpenCode then completes the text while it does
 * not know yet that a tool call follows. The OpenAI-compatible client completes it at the end of the stream.
 */
export interface TextFirstReply {
  readonly text: string;
  readonly toolCalls?: readonly { readonly name: string; readonly args: Readonly<Record<string, unknown>> }[];
  /** Between the text and what follows it, and before the end of the stream. */
  readonly pauseMs?: number;
  /** Before anything is sent. */
  readonly delayMs?: number;
}

export interface TextFirstModel {
  providerConfig(): ScriptedProviderConfig;
  /** How many requests each session has made. */
  readonly steps: ReadonlyMap<string, number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `children`: one reply for the child whose first prompt holds the key. */
export function startTextFirstModel(
  root: readonly TextFirstReply[],
  children: Readonly<Record<string, TextFirstReply>>,
): TextFirstModel {
  const steps = new Map<string, number>();
  let calls = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    async fetch(request) {
      const body = (await request.json()) as { system?: unknown; messages: unknown[] };
      const session = request.headers.get("x-session-id") ?? "";
      const isTitle = JSON.stringify(body.system ?? "").includes("title");
      const step = steps.get(session) ?? 0;
      if (!isTitle) steps.set(session, step + 1);
      const first = JSON.stringify(body.messages[0]);
      const name = Object.keys(children).find(
        (key) => request.headers.has("x-parent-session-id") && first.includes(key),
      );
      const reply = isTitle ? { text: "A title" } : name === undefined ? root[step] : children[name];
      if (reply === undefined) return Response.json({ error: { message: "the script ran out" } }, { status: 400 });
      return new Response(
        stream(reply, () => `toolu_${++calls}`),
        { headers: { "content-type": "text/event-stream" } },
      );
    },
  });
  const entry = {
    npm: "@ai-sdk/anthropic",
    name: "Text first",
    options: { baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: "none" },
    models: { model: { name: "model", tool_call: true, limit: { context: 200_000, output: 16_000 } } },
  };
  return {
    steps,
    providerConfig: () => ({ provider: { first: entry }, model: "first/model", small_model: "first/model" }),
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
}

function stream(
  { text, toolCalls = [], pauseMs = 0, delayMs = 0 }: TextFirstReply,
  newID: () => string,
): ReadableStream {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller) {
      const send = (type: string, more: object) =>
        controller.enqueue(encoder.encode(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`));
      const block = (index: number, content: object, delta: object) => {
        send("content_block_start", { index, content_block: content });
        send("content_block_delta", { index, delta });
        send("content_block_stop", { index });
      };
      await Bun.sleep(delayMs);
      const usage = { input_tokens: 10, output_tokens: 1 };
      const head = { id: newID(), type: "message", role: "assistant", model: "model", content: [] };
      send("message_start", { message: { ...head, stop_reason: null, stop_sequence: null, usage } });
      block(0, { type: "text", text: "" }, { type: "text_delta", text });
      await Bun.sleep(pauseMs);
      for (const [at, { name, args }] of toolCalls.entries()) {
        const delta = { type: "input_json_delta", partial_json: JSON.stringify(args) };
        block(at + 1, { type: "tool_use", id: newID(), name, input: {} }, delta);
      }
      const reason = toolCalls.length > 0 ? "tool_use" : "end_turn";
      send("message_delta", { delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 5 } });
      send("message_stop", {});
      controller.close();
    },
  });
}
