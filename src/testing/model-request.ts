/** One message as OpenCode sent it, in the OpenAI form. */
export interface ChatMessage {
  role: string;
  content?: unknown;
  tool_calls?: { id: string; type: string; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
  [key: string]: unknown;
}

/** A tool's result that the model is shown. */
export interface ToolResult {
  callID: string;
  /** The tool's name, when the call is among the messages. */
  name: string | undefined;
  output: string;
}

/** One request of OpenCode to the model. */
export interface ModelRequest {
  /** `turn`: a step of a conversation; `title` and `summary`: OpenCode's own side requests, answered without the script. */
  readonly kind: "turn" | "title" | "summary";
  /** The session that asks; empty when the client is not OpenCode. */
  readonly sessionID: string;
  /** Absent for a root session. */
  readonly parentSessionID: string | undefined;
  /** Index of this request among the session's requests of kind `turn`, from 0; retries count. -1 for other kinds. */
  readonly step: number;
  readonly modelID: string;
  /** When it arrived, epoch milliseconds. */
  readonly at: number;
  readonly messages: readonly ChatMessage[];
  /** All system messages, joined by an empty line. */
  readonly system: string;
  readonly firstUserText: string;
  readonly lastUserText: string;
  /** Names of the tools that the model may call. */
  readonly tools: readonly string[];
  /** Results that came after the last user message, in order. */
  readonly toolResults: readonly ToolResult[];
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** The whole request body. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Aborted when the client goes away or the server is closed. */
  readonly signal: AbortSignal;
  /** `open` until the answer has been sent or the client has gone. */
  readonly state: "open" | "answered" | "disconnected";
}

/** {@link ModelRequest} while it is being answered. */
export type LiveModelRequest = { -readonly [K in keyof ModelRequest]: ModelRequest[K] };

export interface ReceivedRequest {
  headers: Readonly<Record<string, string>>;
  body: Record<string, unknown>;
  at: number;
  signal: AbortSignal;
}

/** Reads what a script may want to know out of a chat-completions request. Its `step` is still open. */
export function readModelRequest({ headers, body, at, signal }: ReceivedRequest): LiveModelRequest {
  const messages = Array.isArray(body.messages) ? (body.messages as ChatMessage[]) : [];
  const userMessages = messages.filter((message) => message.role === "user");
  const system = messages
    .filter((message) => message.role === "system")
    .map(textOf)
    .join("\n\n");
  return {
    kind: kindOf(system),
    sessionID: headers["x-session-id"] ?? "",
    parentSessionID: headers["x-parent-session-id"],
    step: -1,
    modelID: String(body.model ?? ""),
    at,
    messages,
    system,
    firstUserText: textOf(userMessages[0]),
    lastUserText: textOf(userMessages.at(-1)),
    tools: toolNames(body.tools),
    toolResults: resultsAfterLastUser(messages),
    headers,
    body,
    signal,
    state: "open",
  };
}

/** The text of a message, whose content is a string or a list of parts. */
export function textOf(message: ChatMessage | undefined): string {
  const content = message?.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { text?: unknown }) => (typeof part?.text === "string" ? part.text : "")).join("");
}

// OpenCode marks its side requests by nothing but the system prompt of its hidden agents "title" and "compaction".
function kindOf(system: string): ModelRequest["kind"] {
  if (/^You are a title generator\b/.test(system)) return "title";
  if (/^You are a (context summarization agent|helpful AI assistant tasked with summarizing)\b/.test(system))
    return "summary";
  return "turn";
}

function toolNames(tools: unknown): string[] {
  if (!Array.isArray(tools)) return [];
  return tools.map((tool: { function?: { name?: string } }) => tool.function?.name ?? "");
}

function resultsAfterLastUser(messages: readonly ChatMessage[]): ToolResult[] {
  const names = new Map<string, string>();
  for (const message of messages) {
    for (const call of message.tool_calls ?? []) names.set(call.id, call.function.name);
  }
  const start = messages.findLastIndex((message) => message.role === "user") + 1;
  return messages
    .slice(start)
    .filter((message) => message.role === "tool")
    .map((message) => {
      const callID = message.tool_call_id ?? "";
      return { callID, name: names.get(callID), output: textOf(message) };
    });
}
