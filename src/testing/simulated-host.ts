import type { Answer, HostPort, Prompt, SessionInfo, TranscriptMessage, Voice } from "../host/port.ts";
import { SimulatedOpencode } from "./simulated-opencode.ts";
import { toInfo, toTranscript } from "./simulated-sessions.ts";

export type { SimulatedHostOptions } from "./simulated-engine.ts";
export type { SimulatedMessage } from "./simulated-sessions.ts";

/** The calls of a {@link HostPort} that can be answered wrongly. */
export type HostCall = "statuses" | "children" | "session" | "roots" | "transcript" | "prompt" | "writeMetadata";

/** How a call is answered. `empty`: a well-formed answer that holds nothing. `gone`: 404. `never`: not at all. */
export type Fault = "right" | "empty" | "unknown" | "gone" | "never" | { readonly lateMs: number };

/**
 * What becomes of one prompt. `refused`: an error, and nothing is stored. `answer-lost`: an error, and it is taken all
 * the same. `no-turn`: stored, and the wake-up gets lost. `dying-turn`: stored while the session shows busy and idle
 * again.
 */
export type PromptFate = "taken" | "refused" | "answer-lost" | "no-turn" | "dying-turn";

const ANSWERS_AFTER_MS = 4;

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
  readonly prompts: (Prompt & { readonly at: number })[] = [];
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

  prompt(prompt: Prompt): Promise<Answer<void>> {
    this.prompts.push({ ...prompt, at: this.options.clock.now() });
    const fate = this.fates.shift() ?? "taken";
    return this.answer("prompt", undefined, () => {
      const session = this.sessions.get(prompt.sessionID);
      if (session === undefined) return GONE;
      if (fate === "refused") return { kind: "unknown", reason: "refused" };
      const { messageID: id, partID, text, voice } = prompt;
      this.store(session, { id, parts: [{ id: partID, text, synthetic: true, ignored: false }], voice });
      if (fate === "taken" || fate === "answer-lost") this.wakeLater(session, 3);
      if (fate === "dying-turn" && session.status === "idle") {
        this.later(3, () => this.emit({ type: "session-busy", sessionID: session.id }));
        this.later(5, () => this.emit({ type: "session-idle", sessionID: session.id }));
      }
      return fate === "answer-lost" ? { kind: "unknown", reason: "the answer got lost" } : known(undefined);
    });
  }

  show(sessionID: string, text: string, voice: Voice | undefined): Promise<Answer<void>> {
    return this.answer("prompt", undefined, () => {
      const session = this.sessions.get(sessionID);
      if (session === undefined) return GONE;
      const part = { id: this.sessions.id("prt"), text, synthetic: false, ignored: true };
      this.store(session, { id: this.sessions.messageID(), parts: [part], voice });
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

  /** Reads the truth at the moment of the answer, not of the question. */
  private answer<T>(call: HostCall, empty: T | undefined, right: () => Answer<T>): Promise<Answer<T>> {
    const fault = this.faults[call] ?? "right";
    if (fault === "never") return new Promise(() => undefined);
    return new Promise((resolve) => {
      this.later(typeof fault === "object" ? fault.lateMs : ANSWERS_AFTER_MS, () => {
        if (fault === "unknown") return resolve({ kind: "unknown", reason: "scripted failure" });
        if (fault === "gone") return resolve(GONE);
        if (fault === "empty" && empty !== undefined) return resolve(known(empty));
        resolve(right());
      });
    });
  }
}

const GONE = { kind: "gone" } as const;

function known<T>(value: T): Answer<T> {
  return { kind: "known", value };
}
