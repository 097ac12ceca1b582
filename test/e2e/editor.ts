import { type ChildProcess, spawn } from "node:child_process";
import type { IsolatedOpencode } from "../../src/testing/index.ts";

/** An update of a session, as an editor shows it. */
export interface Shown {
  readonly sessionID: string;
  readonly kind: string;
  /** Of a chunk of a message. */
  readonly text: string;
  readonly update: Readonly<Record<string, unknown>>;
}

/** Why a prompt has ended, or the error that it was answered with. */
export type Answered = { readonly stopReason: string } | { readonly error: { readonly message: string } };

/** An editor (Zed, JetBrains, Neovim) that drives `opencode acp`: JSON-RPC, a line each way, over its stdin and stdout. */
export interface Editor {
  readonly shown: readonly Shown[];
  /** Lines that were no JSON-RPC. */
  readonly noise: readonly string[];
  newSession(): Promise<string>;
  loadSession(sessionID: string): Promise<void>;
  prompt(sessionID: string, text: string): Promise<Answered>;
  /** A notification: the prompt that runs ends as cancelled. */
  cancel(sessionID: string): void;
  close(): Promise<void>;
}

export async function openEditor(opencode: IsolatedOpencode): Promise<Editor> {
  const { file, args, cwd, env } = opencode.commandLine(["acp"]);
  const child = spawn(file, args, { cwd, env, stdio: ["pipe", "pipe", "ignore"] });
  const connection = connect(child);
  const { call, shown, noise } = connection;
  await call("initialize", { protocolVersion: 1, clientCapabilities: {} });
  const place = { cwd: opencode.directory, mcpServers: [] };
  return {
    shown,
    noise,
    newSession: async () => (await call<{ sessionId: string }>("session/new", place)).sessionId,
    loadSession: async (sessionId) => void (await call("session/load", { sessionId, ...place })),
    async prompt(sessionId, text) {
      const answer = await connection.request("session/prompt", { sessionId, prompt: [{ type: "text", text }] });
      return (answer.error === undefined ? answer.result : { error: answer.error }) as Answered;
    },
    cancel: (sessionId) => connection.notify("session/cancel", { sessionId }),
    async close() {
      const gone = new Promise((resolve) => child.once("close", resolve));
      child.kill();
      await gone;
    },
  };
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly update?: Record<string, unknown> };
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly data?: unknown };
}

function connect(child: ChildProcess) {
  const shown: Shown[] = [];
  const noise: string[] = [];
  const waiting = new Map<number, (answer: Message) => void>();
  let lastID = 0;
  const send = (message: object) => child.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

  const receive = (line: string): void => {
    let message: Message;
    try {
      message = JSON.parse(line);
    } catch {
      noise.push(line);
      return;
    }
    const { id, method, params } = message;
    if (method === undefined) return waiting.get(id ?? -1)?.(message);
    if (method === "session/update") shown.push(readUpdate(params));
    // Whatever it asks its user for is allowed.
    else if (id !== undefined) send({ id, result: { outcome: { outcome: "selected", optionId: "once" } } });
  };
  let pending = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") receive(line);
  });

  const request = (method: string, params: object): Promise<Message> => {
    lastID += 1;
    const id = lastID;
    const answered = new Promise<Message>((resolve) => waiting.set(id, resolve));
    send({ id, method, params });
    return answered;
  };
  return {
    shown,
    noise,
    request,
    notify: (method: string, params: object) => void send({ method, params }),
    async call<T>(method: string, params: object): Promise<T> {
      const { result, error } = await request(method, params);
      if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
      return result as T;
    },
  };
}

function readUpdate(params: Message["params"]): Shown {
  const update = params?.update ?? {};
  const content = update.content as { readonly text?: string } | undefined;
  return { sessionID: params?.sessionId ?? "", kind: String(update.sessionUpdate), text: content?.text ?? "", update };
}
