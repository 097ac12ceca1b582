import type {
  AgentPartInput,
  FilePartInput,
  Message,
  OpencodeClient,
  Part,
  Session,
  SubtaskPartInput,
  TextPartInput,
} from "@opencode-ai/sdk";
import type { EventCollector } from "./event-collector.ts";

/** OpenCode answered a request with an error. */
export class OpencodeRequestError extends Error {
  override readonly name = "OpencodeRequestError";
  readonly operation: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly body: unknown;

  constructor(operation: string, status: number, body: unknown) {
    super(
      `OpenCode answered ${operation} with ${status}: ${body instanceof Error ? body.message : JSON.stringify(body)}`,
    );
    this.operation = operation;
    this.status = status;
    this.body = body;
  }
}

export interface PromptOptions {
  agent?: string;
  /** `provider/model` */
  model?: string;
  messageID?: string;
  noReply?: boolean;
  system?: string;
}

export type PromptPart = TextPartInput | FilePartInput | AgentPartInput | SubtaskPartInput;

export interface StoredMessage {
  info: Message;
  parts: Part[];
}

export interface IdleOptions {
  /** @default 15000 */
  timeoutMs?: number;
  /** Index in `events.all` after which the turn began. @default the last `prompt()` for this session */
  from?: number;
  /**
   * How long the session has to stay idle. An error or an abort publishes a second idle ~20 ms after the first.
   * @default 100
   */
  quietMs?: number;
}

/** What tests do with sessions, in a line each. Every call throws {@link OpencodeRequestError} when the host says no. */
export interface SessionHelpers {
  createSession(options?: { title?: string; parentID?: string }): Promise<Session>;
  /** Starts a turn and returns as soon as the host has taken the prompt. */
  prompt(sessionID: string, prompt: string | readonly PromptPart[], options?: PromptOptions): Promise<void>;
  /**
   * Resolves when the turn that the last `prompt()` started is over: the session was busy, is idle, and stays so. A
   * session that this server has seen nothing of is idle when the host does not list it as busy.
   * @throws WaitTimeoutError, LogEndedError when the server goes away meanwhile
   */
  waitForIdle(sessionID: string, options?: IdleOptions): Promise<void>;
  abort(sessionID: string): Promise<void>;
  /** All messages, oldest first. */
  messages(sessionID: string): Promise<StoredMessage[]>;
  /** Direct children, oldest first, the finished ones too. */
  children(sessionID: string): Promise<Session[]>;
  /** The session's metadata; `{}` when there is none. */
  metadata(sessionID: string): Promise<Record<string, unknown>>;
}

export function sessionHelpers(client: OpencodeClient, events: EventCollector): SessionHelpers {
  const prompted = new Map<string, number>();

  return {
    createSession: async (options = {}) => data("session.create", await client.session.create({ body: options })),

    async prompt(sessionID, prompt, { model, ...options } = {}) {
      const parts: PromptPart[] = typeof prompt === "string" ? [{ type: "text", text: prompt }] : [...prompt];
      if (!options.noReply) prompted.set(sessionID, events.all.length);
      const body = { ...options, parts, ...(model === undefined ? {} : { model: parseModel(model) }) };
      check("session.promptAsync", await client.session.promptAsync({ path: { id: sessionID }, body }));
    },

    async waitForIdle(sessionID, { timeoutMs = 15_000, from = prompted.get(sessionID) ?? 0, quietMs = 100 } = {}) {
      const until = Date.now() + timeoutMs;
      const seen = events.all.some((event, index) => index >= from && event.properties.sessionID === sessionID);
      if (!seen && !prompted.has(sessionID)) {
        const busy = data("session.status", await client.session.status());
        if (!(sessionID in busy)) return;
      }
      let start = from;
      for (;;) {
        const busyAt = await indexOfStatus(events, sessionID, "busy", start, until - Date.now());
        const idleAt = await indexOfStatus(events, sessionID, "idle", busyAt + 1, until - Date.now());
        await new Promise((resolve) => setTimeout(resolve, quietMs));
        const next = events.all.findIndex((event, index) => index > idleAt && isStatus(event, sessionID, "busy"));
        if (next < 0) return;
        start = next;
      }
    },

    async abort(sessionID) {
      check("session.abort", await client.session.abort({ path: { id: sessionID } }));
    },

    async messages(sessionID) {
      const stored = data("session.messages", await client.session.messages({ path: { id: sessionID } }));
      return stored.sort((a, b) => a.info.time.created - b.info.time.created);
    },

    async children(sessionID) {
      const children = data("session.children", await client.session.children({ path: { id: sessionID } }));
      return children.sort((a, b) => a.time.created - b.time.created);
    },

    async metadata(sessionID) {
      const session = data("session.get", await client.session.get({ path: { id: sessionID } }));
      // The host has the field; this SDK's types do not.
      return (session as Session & { metadata?: Record<string, unknown> }).metadata ?? {};
    },
  };
}

async function indexOfStatus(
  events: EventCollector,
  sessionID: string,
  type: string,
  from: number,
  leftMs: number,
): Promise<number> {
  const found = await events.waitFor((event) => isStatus(event, sessionID, type), {
    from,
    timeoutMs: Math.max(leftMs, 1),
  });
  return events.all.indexOf(found);
}

function isStatus(event: EventCollector["all"][number], sessionID: string, type: string): boolean {
  return (
    event.type === "session.status" &&
    event.properties.sessionID === sessionID &&
    event.properties.status?.type === type
  );
}

function parseModel(model: string): { providerID: string; modelID: string } {
  const slash = model.indexOf("/");
  return { providerID: model.slice(0, slash), modelID: model.slice(slash + 1) };
}

interface Answered<T> {
  data?: T | undefined;
  error?: unknown;
  // Absent when the server could not be reached.
  response?: { status: number } | undefined;
}

function check(operation: string, answer: Answered<unknown>): void {
  if (answer.error === undefined) return;
  throw new OpencodeRequestError(operation, answer.response?.status ?? 0, answer.error);
}

function data<T>(operation: string, answer: Answered<T>): T {
  check(operation, answer);
  if (answer.data === undefined) throw new OpencodeRequestError(operation, answer.response?.status ?? 0, "no data");
  return answer.data;
}
