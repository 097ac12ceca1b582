import type { PluginInput } from "@opencode-ai/plugin";

type Publish = (event: { readonly type: string; readonly properties: unknown }) => void;

interface Stored {
  info: Record<string, unknown> & { readonly id: string; readonly parentID?: string | undefined };
  readonly messages: { readonly info: Record<string, unknown>; readonly parts: readonly unknown[] }[];
}

/** How the turns of a child end. `never`: until it is aborted or deleted. */
export type Ending = "finished" | "failed" | "never";

const MODEL = { providerID: "bench", modelID: "model" };
const AGENTS = [{ name: "general", mode: "subagent", hidden: false, permission: [] }];

/**
 * OpenCode's client without an OpenCode: every call is answered at once, every turn is over as soon as it has begun. It
 * publishes what a plugin sees of that, in order, and keeps nothing but its sessions.
 */
export class InstantHost {
  private readonly sessions = new Map<string, Stored>();
  private counted = 0;

  /** @param ending decides how a turn ends, by the text of its prompt */
  constructor(
    private readonly publish: Publish,
    private readonly ending: (prompt: string) => Ending,
  ) {}

  /** What a plugin is given. */
  get client(): PluginInput["client"] {
    const calls = {
      session: {
        create: this.call(({ body }) => this.create(body).info),
        get: this.call(({ path }) => this.sessions.get(path.id)?.info),
        update: this.call(({ path, body }) => this.update(path.id, body)),
        messages: this.call(({ path }) => this.sessions.get(path.id)?.messages),
        children: this.call(({ path }) => this.childrenOf(path.id)),
        list: this.call(() => []),
        status: this.call(() => ({})),
        abort: this.call(({ path }) => this.abort(path.id)),
        promptAsync: this.call(({ path, body }) => this.prompt(path.id, body)),
      },
      app: { agents: this.call(() => AGENTS), log: this.call(() => true) },
      tui: { showToast: this.call(() => true) },
    };
    return calls as unknown as PluginInput["client"];
  }

  createRoot(): string {
    return this.create({ title: "root" }).info.id;
  }

  delete(sessionID: string): void {
    const info = this.sessions.get(sessionID)?.info;
    this.sessions.delete(sessionID);
    if (info !== undefined) this.publish({ type: "session.deleted", properties: { info } });
  }

  /** As if it had never been: a real host keeps its sessions in a database, and not in this heap. */
  forgetAll(): void {
    this.sessions.clear();
  }

  private call(answer: (request: Request) => unknown): (request: Request) => Promise<unknown> {
    return async (request) => {
      const data = answer(request);
      return data === undefined ? { error: { name: "NotFound" }, response: { status: 404 } } : { data };
    };
  }

  private create(body: Record<string, unknown>): Stored {
    const id = `ses_${String(++this.counted).padStart(9, "0")}`;
    const session: Stored = { info: { ...body, id, time: { created: Date.now() } }, messages: [] };
    this.sessions.set(id, session);
    this.publish({ type: "session.created", properties: { info: session.info } });
    return session;
  }

  private update(sessionID: string, body: Record<string, unknown>): unknown {
    const session = this.sessions.get(sessionID);
    if (session === undefined) return undefined;
    // Through JSON, as over the wire: what the plugin holds must not be what the host holds.
    session.info = { ...session.info, ...JSON.parse(JSON.stringify(body)) };
    this.show(sessionID);
    return session.info;
  }

  private childrenOf(parentID: string): readonly unknown[] {
    return [...this.sessions.values()].map(({ info }) => info).filter((info) => info.parentID === parentID);
  }

  private abort(sessionID: string): boolean {
    if (this.sessions.has(sessionID)) this.rest(sessionID);
    return true;
  }

  private prompt(sessionID: string, body: Record<string, unknown>): unknown {
    const session = this.sessions.get(sessionID);
    if (session === undefined) return undefined;
    const id = String(body.messageID);
    const sent = body.parts as readonly { readonly text: string }[];
    const parts = sent.map((part) => ({ ...part, sessionID, messageID: id }));
    const info = { id, sessionID, role: "user", agent: "general", model: MODEL, time: { created: Date.now() } };
    session.messages.push({ info, parts });
    this.publish({ type: "message.updated", properties: { info } });
    for (const part of parts) this.publish({ type: "message.part.updated", properties: { part } });
    this.show(sessionID);
    const ending = this.ending(parts[0]?.text ?? "");
    queueMicrotask(() => this.turn(sessionID, id, ending));
    return {};
  }

  private turn(sessionID: string, parentID: string, ending: Ending): void {
    const session = this.sessions.get(sessionID);
    if (session === undefined) return;
    this.publish({ type: "session.status", properties: { sessionID, status: { type: "busy" } } });
    const created = Date.now();
    const base = { id: `${parentID}a`, sessionID, role: "assistant", parentID };
    this.publish({ type: "message.updated", properties: { info: { ...base, time: { created } } } });
    if (ending === "never") return;
    const end = ending === "failed" ? FAILED : { finish: "stop", tokens: { input: 100, output: 20 }, cost: 0.001 };
    const info = { ...base, time: { created, completed: created }, ...end };
    const part = {
      id: `prt_${parentID}`,
      sessionID,
      messageID: base.id,
      type: "text",
      text: ANSWER,
      time: { end: created },
    };
    session.messages.push({ info, parts: [part] });
    this.publish({ type: "message.part.updated", properties: { part } });
    this.publish({ type: "message.updated", properties: { info } });
    if (ending === "failed") this.publish({ type: "session.error", properties: { sessionID, error: FAILED.error } });
    this.rest(sessionID);
  }

  private rest(sessionID: string): void {
    this.publish({ type: "session.status", properties: { sessionID, status: { type: "idle" } } });
    this.show(sessionID);
  }

  /** OpenCode touches a session before each of its turns, and writes a summary of what has changed into it after. */
  private show(sessionID: string): void {
    const info = this.sessions.get(sessionID)?.info;
    if (info !== undefined) this.publish({ type: "session.updated", properties: { info } });
  }
}

interface Request {
  readonly path: { readonly id: string };
  readonly body: Record<string, unknown>;
}

const FAILED = { error: { name: "APIError", data: { message: "scripted 500", statusCode: 500 } } };
const ANSWER = "It is done, and this is what came of it. ".repeat(50);
