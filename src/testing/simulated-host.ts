import type {
  AgentInfo,
  Answer,
  HostPort,
  NewChild,
  Prompt,
  PromptVoice,
  SessionInfo,
  Stored,
  TranscriptMessage,
  TurnError,
  Voice,
} from "../host/port.ts";
import { DEFAULT_AGENT, SIMULATED_AGENTS } from "./simulated-agents.ts";
import { UNKNOWN_ERROR, withStack } from "./simulated-engine.ts";
import { SimulatedOpencode } from "./simulated-opencode.ts";
import { SIMULATED_VOICE, type SimulatedSession, toInfo, toTranscript } from "./simulated-sessions.ts";

export type { SimulatedHostOptions } from "./simulated-engine.ts";
export type { SimulatedMessage } from "./simulated-sessions.ts";

/** The calls of a {@link HostPort} that can be answered wrongly. */
export type HostCall =
  | "statuses"
  | "children"
  | "session"
  | "roots"
  | "transcript"
  | "agents"
  | "models"
  | "createChild"
  | "abort"
  | "prompt"
  | "writeMetadata";

/**
 * How a call is answered. `empty`: a well-formed answer that holds nothing. `gone`: 404. `never`: not at all.
 * `answer-lost`: an error, and it is done all the same. What else is not right or late does nothing.
 */
export type Fault = "right" | "empty" | "unknown" | "answer-lost" | "gone" | "never" | { readonly lateMs: number };

/**
 * What becomes of one prompt. `refused`: an error, and nothing is stored. `answer-lost`: an error, and it is taken all
 * the same. `no-turn`: stored, and the wake-up gets lost. `dying-turn`: stored while the session shows busy and idle
 * again.
 */
export type PromptFate = "taken" | "refused" | "answer-lost" | "no-turn" | "dying-turn";

const ANSWERS_AFTER_MS = 4;
const ANSWERS_AFTER_EVENT_MS = 1;

/**
 * A host without a process and without time of its own: {@link HostPort} on top of a simulated OpenCode, driven by a
 * `SimulatedClock`. Answers come after 4 ms and are right, unless {@link faults} or {@link fates} say otherwise.
 *
 * @example
 * const clock = new SimulatedClock();
 * const events: HostEvent[] = [];
 * const host = new SimulatedHost({ clock, onEvent: (event) => events.push(event) });
 * const root = host.createRoot();
 * host.userSays(root, "start a task");
 * await clock.advance(10);
 * const task = host.startTask(root, { background: true });
 * await clock.advance(100);
 * host.finishTurn(task, "the result"); // 3 ms later the root is told, and woken
 */
export class SimulatedHost extends SimulatedOpencode implements HostPort {
  /** Lasts until it is changed. */
  readonly faults: Partial<Record<HostCall, Fault>> = {};
  /** The fates of the next prompts, in order; after them every prompt is taken. */
  readonly fates: PromptFate[] = [];
  /** How long some plugin's `chat.message` hook takes. A prompt is stored after it, and answered before. */
  chatMessageMs = 0;
  /** Those that {@link agents} names. A prompt for any other is accepted, and then comes to nothing. */
  knownAgents: readonly AgentInfo[] = SIMULATED_AGENTS;
  /** Those that {@link models} names. Undefined: it does not answer, and every model is taken. */
  knownModels: ReadonlySet<string> | undefined;
  readonly prompts: (Prompt & { readonly at: number })[] = [];
  readonly aborts: { readonly sessionID: string; readonly at: number }[] = [];
  readonly toasts: { title: string; message: string; variant: string }[] = [];
  readonly logs: { level: string; message: string; extra?: Readonly<Record<string, unknown>> | undefined }[] = [];

  statuses(): Promise<Answer<ReadonlyMap<string, "busy" | "retrying">>> {
    return this.answer("statuses", new Map<string, "busy" | "retrying">(), () => {
      const shown = new Map<string, "busy" | "retrying">();
      for (const { id, status } of this.sessions.all.values()) if (status !== "idle") shown.set(id, status);
      return known(shown);
    });
  }

  children(parentID: string): Promise<Answer<readonly SessionInfo[]>> {
    return this.answer("children", [], () =>
      this.exists(parentID) ? known(this.sessions.children(parentID).map(toInfo)) : GONE,
    );
  }

  session(sessionID: string): Promise<Answer<SessionInfo>> {
    return this.answer("session", undefined, () => {
      const session = this.sessions.get(sessionID);
      return session === undefined ? GONE : known(toInfo(session));
    });
  }

  roots(): Promise<Answer<readonly SessionInfo[]>> {
    return this.answer("roots", [], () =>
      known([...this.sessions.all.values()].filter((session) => session.parentID === undefined).map(toInfo)),
    );
  }

  transcript(sessionID: string): Promise<Answer<readonly TranscriptMessage[]>> {
    return this.answer("transcript", [], () => {
      const session = this.sessions.get(sessionID);
      return session === undefined ? GONE : known(toTranscript(session));
    });
  }

  agents(): Promise<Answer<readonly AgentInfo[]>> {
    return this.answer("agents", [], () => known(this.knownAgents));
  }

  models(): Promise<Answer<ReadonlySet<string>>> {
    const silent: Answer<ReadonlySet<string>> = { kind: "unknown", reason: "the simulated host names no models" };
    return this.answer("models", new Set<string>(), () =>
      this.knownModels === undefined ? silent : known(this.knownModels),
    );
  }

  /** Parent, agent and model are taken as they are: the host checks none of them. Its event comes before its answer. */
  async createChild({ parentID, title, voice, rules, metadata }: NewChild): Promise<Answer<SessionInfo>> {
    const answer = await this.answer("createChild", undefined, () => {
      const session = this.sessions.create(parentID, title);
      session.voice = voice;
      session.rules = rules;
      session.metadata = metadata;
      this.emit({ type: "session-seen", session: toInfo(session), created: true });
      return known(toInfo(session));
    });
    await this.pass(ANSWERS_AFTER_EVENT_MS);
    return answer;
  }

  /** The host says yes to whatever it is asked to abort. What has ended by that is written before the answer. */
  async abort(sessionID: string): Promise<Answer<void>> {
    this.aborts.push({ sessionID, at: this.options.clock.now() });
    let writtenAfterMs = 0;
    const answer = await this.answer("abort", undefined, () => {
      const session = this.sessions.get(sessionID);
      if (session === undefined) this.publish({ type: "session-idle", sessionID });
      else writtenAfterMs = this.abortSession(session);
      return known(undefined);
    });
    if (writtenAfterMs > 0) await this.pass(writtenAfterMs);
    return answer;
  }

  /** Asks first, as the port has to, and stores a moment later: meanwhile the user may undo something all the same. */
  async prompt(prompt: Prompt): Promise<Stored> {
    if (this.isUndone(prompt.sessionID)) return UNDONE;
    return this.send(prompt);
  }

  private send(prompt: Prompt): Promise<Answer<void>> {
    this.prompts.push({ ...prompt, at: this.options.clock.now() });
    const fate = this.fates.shift() ?? "taken";
    return this.answer("prompt", undefined, () => {
      const session = this.sessions.get(prompt.sessionID);
      if (session === undefined) return GONE;
      if (fate === "refused") return { kind: "unknown", reason: "refused" };
      if (this.chatMessageMs === 0) this.accept(session, prompt, fate);
      else this.later(this.chatMessageMs, () => this.exists(session.id) && this.accept(session, prompt, fate));
      return fate === "answer-lost" ? ANSWER_LOST : known(undefined);
    });
  }

  /** A session that works takes every message into its turn. */
  deposit(prompt: Prompt): Promise<Stored> {
    return this.prompt(prompt);
  }

  private accept(session: SimulatedSession, prompt: Prompt, fate: PromptFate): void {
    const { messageID: id, partID, text, synthetic } = prompt;
    const voice = this.resolve(session, prompt.voice);
    if (!this.knownAgents.some(({ name }) => name === voice.agent)) return this.refuse(session, voice.agent);
    this.store(session, { id, parts: [{ id: partID, text, synthetic, ignored: false }], voice });
    if (fate === "taken" || fate === "answer-lost") this.wakeLater(session, 3);
    if (fate === "dying-turn" && session.status === "idle") {
      this.later(3, () => this.emit({ type: "session-busy", sessionID: session.id }));
      this.later(5, () => this.emit({ type: "session-idle", sessionID: session.id }));
    }
  }

  /** The host has answered before it looks at the agent: an error, twice, is all that tells. */
  private refuse({ id: sessionID }: SimulatedSession, agent: string): void {
    const error: TurnError = { name: UNKNOWN_ERROR, message: `Agent not found: "${agent}".` };
    this.emit({ type: "session-error", sessionID, error });
    this.later(1, () => this.emit({ type: "session-error", sessionID, error: withStack(error) }));
  }

  /** The model of the parent is never looked at, and without an agent it is the default agent that answers. */
  private resolve(session: SimulatedSession, asked: PromptVoice | undefined): Voice {
    const last = session.messages.findLast(({ role }) => role === "user")?.voice;
    const { agent, model, variant }: PromptVoice = asked ?? last ?? { agent: DEFAULT_AGENT };
    const own = this.knownAgents.find(({ name }) => name === agent);
    const chosen = model ?? own?.model ?? session.voice?.model ?? last?.model ?? SIMULATED_VOICE.model;
    const isOwn = own?.model?.providerID === chosen.providerID && own.model.modelID === chosen.modelID;
    const used = variant ?? (isOwn ? own?.variant : undefined);
    return { agent, model: chosen, ...(used === undefined ? {} : { variant: used }) };
  }

  async show(sessionID: string, text: string, voice: Voice | undefined): Promise<Stored> {
    if (this.isUndone(sessionID)) return UNDONE;
    return this.answer("prompt", undefined, () => {
      const session = this.sessions.get(sessionID);
      if (session === undefined) return GONE;
      const part = { id: this.sessions.id("prt"), text, synthetic: false, ignored: true };
      const kept = voice ?? session.messages.findLast((message) => message.voice !== undefined)?.voice;
      this.store(session, { id: this.sessions.messageID(), parts: [part], voice: kept });
      return known(undefined);
    });
  }

  writeMetadata(sessionID: string, metadata: Readonly<Record<string, unknown>>): Promise<Answer<void>> {
    return this.answer("writeMetadata", undefined, () => {
      const session = this.sessions.get(sessionID);
      if (session === undefined) return GONE;
      session.metadata = metadata;
      this.emit({ type: "session-seen", session: toInfo(session), created: false });
      return known(undefined);
    });
  }

  async toast(toast: {
    title: string;
    message: string;
    variant: "info" | "success" | "warning" | "error";
  }): Promise<void> {
    this.toasts.push(toast);
  }

  log(level: "debug" | "info" | "warn" | "error", message: string, extra?: Readonly<Record<string, unknown>>): void {
    this.logs.push({ level, message, extra });
  }

  private pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.later(ms, resolve));
  }

  /** Reads the truth at the moment of the answer, not of the question. */
  private answer<T>(call: HostCall, empty: T | undefined, right: () => Answer<T>): Promise<Answer<T>> {
    const fault = this.faults[call] ?? "right";
    if (fault === "never") return new Promise(() => undefined);
    return new Promise((resolve) => {
      this.later(typeof fault === "object" ? fault.lateMs : ANSWERS_AFTER_MS, () => {
        if (fault === "unknown") return resolve({ kind: "unknown", reason: "scripted failure" });
        if (fault === "gone") return resolve(GONE);
        if (fault === "empty" && empty !== undefined) return resolve(known(empty));
        const answer = right();
        resolve(fault === "answer-lost" ? ANSWER_LOST : answer);
      });
    });
  }
}

const ANSWER_LOST = { kind: "unknown", reason: "the answer got lost" } as const;
const UNDONE = { kind: "undone" } as const;
const GONE = { kind: "gone" } as const;

function known<T>(value: T): Answer<T> {
  return { kind: "known", value };
}
