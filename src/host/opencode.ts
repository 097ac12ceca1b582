import { type Clock, systemClock } from "../time/clock.ts";
import { withTimeout } from "../time/timeout.ts";
import type { Client, Reply } from "./client.ts";
import type {
  AgentInfo,
  Answer,
  HostPort,
  NewChild,
  PermissionRule,
  Prompt,
  SessionInfo,
  Stored,
  TranscriptMessage,
  Voice,
} from "./port.ts";
import { list, record, text } from "./raw.ts";
import { readAgent, readModelNames, readSession, readTranscript } from "./read.ts";

/** Reads and small writes. A hung host must not hang us: an unanswered call is "unknown". */
const CALL_TIMEOUT_MS = 5_000;
/** A whole transcript can be large. */
const TRANSCRIPT_TIMEOUT_MS = 10_000;
/** A plugin starts before the TUI listens: what is shown earlier is never seen. */
const TUI_LISTENS_AFTER_MS = 3_000;
/** Asked while the host itself still starts, which can take seconds. */
const START_TIMEOUT_MS = 30_000;
/** The host's own default hides everything behind the hundred newest sessions. */
const MOST_ROOTS = 10_000;

/** {@link HostPort} for stock OpenCode 1.18, over the client that it hands to its plugins. */
export class OpencodeHost implements HostPort {
  private readonly listenedFrom: number;
  private readonly early = new Set<() => void>();
  private readonly undone = new Set<string>();

  constructor(
    private readonly client: Client,
    private readonly directory: string,
    private readonly clock: Clock = systemClock,
  ) {
    this.listenedFrom = clock.now() + TUI_LISTENS_AFTER_MS;
  }

  async statuses(): Promise<Answer<ReadonlyMap<string, "busy" | "retrying">>> {
    const answer = await call("session.status", () => this.client.session.status({ query: this.query }));
    return convert(answer, (data) => {
      const shown = new Map<string, "busy" | "retrying">();
      for (const [sessionID, status] of Object.entries(record(data))) {
        const type = record(status).type;
        if (type === "busy" || type === "retry") shown.set(sessionID, type === "busy" ? "busy" : "retrying");
      }
      return shown;
    });
  }

  /** The SDK has no name for this route, which is about no directory: it starts nothing. */
  async version(): Promise<Answer<string>> {
    const raw = record(this.client)._client as { get?(request: { url: string }): Promise<unknown> } | undefined;
    if (typeof raw?.get !== "function") return { kind: "unknown", reason: "the client has no way to ask" };
    const answer = await call("global.health", () => Promise.resolve(raw.get?.({ url: "/global/health" })));
    if (answer.kind !== "known") return answer;
    const version = text(record(answer.value).version);
    return version === undefined
      ? { kind: "unknown", reason: "global.health answered with something else" }
      : { kind: "known", value: version };
  }

  async children(parentID: string): Promise<Answer<readonly SessionInfo[]>> {
    const answer = await call("session.children", () =>
      this.client.session.children({ path: { id: parentID }, query: this.query }),
    );
    return convert(answer, readSessions);
  }

  async session(sessionID: string): Promise<Answer<SessionInfo>> {
    const answer = await call("session.get", () =>
      this.client.session.get({ path: { id: sessionID }, query: this.query }),
    );
    if (answer.kind !== "known") return answer;
    const session = readSession(answer.value);
    return session === undefined
      ? { kind: "unknown", reason: "session.get answered with something else" }
      : { kind: "known", value: session };
  }

  async roots(): Promise<Answer<readonly SessionInfo[]>> {
    // The generated type knows only `directory`; the server also takes these two.
    const query = { ...this.query, roots: true, limit: MOST_ROOTS };
    const answer = await call("session.list", () => this.client.session.list({ query }), START_TIMEOUT_MS);
    return convert(answer, readSessions);
  }

  async transcript(sessionID: string): Promise<Answer<readonly TranscriptMessage[]>> {
    const request = () => this.client.session.messages({ path: { id: sessionID }, query: this.query });
    return convert(await call("session.messages", request, TRANSCRIPT_TIMEOUT_MS), readTranscript);
  }

  async agents(): Promise<Answer<readonly AgentInfo[]>> {
    const answer = await call("app.agents", () => this.client.app.agents({ query: this.query }));
    return convert(answer, (data) => list(data).flatMap((item) => readAgent(item) ?? []));
  }

  async models(): Promise<Answer<ReadonlySet<string>>> {
    const answer = await call("config.providers", () => this.client.config.providers({ query: this.query }));
    return convert(answer, readModelNames);
  }

  async createChild({ parentID, title, voice, rules, metadata }: NewChild): Promise<Answer<SessionInfo>> {
    const { agent, model, variant } = voice;
    const chosen = model === undefined ? {} : { model: { id: model.modelID, providerID: model.providerID, variant } };
    // The generated type knows only the first two of them.
    const body: { parentID: string; title: string } = {
      parentID,
      title,
      ...{ agent, ...chosen, permission: rules, metadata },
    };
    const answer = await call("session.create", () => this.client.session.create({ query: this.query, body }));
    if (answer.kind !== "known") return answer;
    const session = readSession(answer.value);
    return session === undefined
      ? { kind: "unknown", reason: "session.create answered with something else" }
      : { kind: "known", value: session };
  }

  async abort(sessionID: string): Promise<Answer<void>> {
    const answer = await call("session.abort", () =>
      this.client.session.abort({ path: { id: sessionID }, query: this.query }),
    );
    return convert(answer, nothing);
  }

  async prompt(prompt: Prompt): Promise<Stored> {
    const body = await this.promptBody(prompt);
    if (await this.isUndone(prompt.sessionID)) return UNDONE;
    const answer = await call("session.promptAsync", () =>
      this.client.session.promptAsync({ path: { id: prompt.sessionID }, query: this.query, body }),
    );
    return convert(answer, nothing);
  }

  /** `promptAsync` answers before it has stored anything; this one once it has. */
  async deposit(prompt: Prompt): Promise<Stored> {
    // What is undone in a session that works was heard, if anything is: to look takes longer than its turn may last.
    if (this.undone.has(prompt.sessionID)) return UNDONE;
    const body = { noReply: true, ...(prompt.voice === undefined ? await this.promptBody(prompt) : bodyOf(prompt)) };
    const answer = await call("session.prompt", () =>
      this.client.session.prompt({ path: { id: prompt.sessionID }, query: this.query, body }),
    );
    return convert(answer, nothing);
  }

  async show(sessionID: string, shown: string, voice: Voice | undefined): Promise<Stored> {
    const part = { type: "text" as const, text: shown, ignored: true };
    const body = { noReply: true, ...(voice ?? (await this.lastVoice(sessionID))), parts: [part] };
    if (await this.isUndone(sessionID)) return UNDONE;
    return convert(
      await call("session.prompt", () =>
        this.client.session.prompt({ path: { id: sessionID }, query: this.query, body }),
      ),
      nothing,
    );
  }

  async writeMetadata(
    sessionID: string,
    metadata: Readonly<Record<string, unknown>>,
    rules: readonly PermissionRule[] = [],
  ): Promise<Answer<void>> {
    // The server takes both; the generated type knows neither.
    const body = { metadata, ...(rules.length === 0 ? {} : { permission: rules }) } as { title?: string };
    const answer = await call("session.update", () =>
      this.client.session.update({ path: { id: sessionID }, query: this.query, body }),
    );
    return convert(answer, nothing);
  }

  async toast(toast: {
    title: string;
    message: string;
    variant: "info" | "success" | "warning" | "error";
  }): Promise<void> {
    const early = this.listenedFrom - this.clock.now();
    if (early > 0) {
      const cancel = this.clock.after(early, () => {
        this.early.delete(cancel);
        void this.toast(toast);
      });
      this.early.add(cancel);
      return;
    }
    await call("tui.showToast", () => this.client.tui.showToast({ query: this.query, body: toast }));
  }

  /** A call after the instance was disposed would make OpenCode start another one. */
  dispose(): void {
    for (const cancel of this.early) cancel();
  }

  log(level: "debug" | "info" | "warn" | "error", message: string, extra?: Readonly<Record<string, unknown>>): void {
    const body = { service: "goalkeeper", level, message, ...(extra === undefined ? {} : { extra }) };
    // A log line that gets lost is the one thing nobody can be told about.
    call("app.log", () => this.client.app.log({ query: this.query, body })).catch(nothing);
  }

  /** What the host publishes of a session; of a deleted one nothing is kept. */
  observe({ id, undone }: Pick<SessionInfo, "id" | "undone">): void {
    if (undone) this.undone.add(id);
    else this.undone.delete(id);
  }

  /** Another process may have undone something, of which no event tells here. */
  private async isUndone(sessionID: string): Promise<boolean> {
    // What is heard while it is asked is newer than the answer.
    const wasUndone = this.undone.delete(sessionID);
    const read = await this.session(sessionID);
    const isUndone = read.kind === "known" ? read.value.undone === true : wasUndone;
    if (isUndone) this.undone.add(sessionID);
    return this.undone.has(sessionID);
  }

  private get query(): { directory: string } {
    return { directory: this.directory };
  }

  private async promptBody(prompt: Prompt) {
    return bodyOf({ ...prompt, voice: prompt.voice ?? (await this.lastVoice(prompt.sessionID)) });
  }

  /** Without an agent a prompt switches the session to the default agent; a session never prompted has none to keep. */
  private async lastVoice(sessionID: string): Promise<Voice | undefined> {
    const transcript = await this.transcript(sessionID);
    return transcript.kind === "known"
      ? transcript.value.findLast((message) => message.voice !== undefined)?.voice
      : undefined;
  }
}

const UNDONE = { kind: "undone" } as const;

function bodyOf({ messageID, partID, voice, text, synthetic }: Prompt) {
  return { messageID, ...voice, parts: [{ id: partID, type: "text" as const, text, synthetic }] };
}

export async function call(
  what: string,
  request: () => Promise<unknown>,
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<Answer<unknown>> {
  try {
    const reply = (await withTimeout(what, request(), timeoutMs)) as Reply;
    if (reply.error === undefined) return { kind: "known", value: reply.data };
    if (reply.response?.status === 404) return { kind: "gone" };
    const error = record(reply.error);
    const said = text(record(error.data).message) ?? text(error.name) ?? "an error without a message";
    return { kind: "unknown", reason: `${what}: ${said}` };
  } catch (error) {
    // Only aborted and unreachable calls throw; whatever it was, it proves nothing about the session.
    return { kind: "unknown", reason: `${what}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function convert<T>(answer: Answer<unknown>, read: (data: unknown) => T): Answer<T> {
  return answer.kind === "known" ? { kind: "known", value: read(answer.value) } : answer;
}

function readSessions(data: unknown): readonly SessionInfo[] {
  return list(data).flatMap((item) => readSession(item) ?? []);
}

function nothing(): undefined {
  return undefined;
}
