import type { SessionInfo, TranscriptMessage, TurnError, Voice } from "../host/port.ts";
import { readTold } from "../host/told.ts";

/** What the Task tool of the host knows about a child it made. */
export interface SimulatedJob {
  readonly callID: string;
  /** The assistant message of the parent that holds the tool part. */
  readonly messageID: string;
  readonly title: string;
  background: boolean;
  /** The tool call of a background task has completed. */
  started: boolean;
}

export interface SimulatedPart {
  text: string;
  readonly synthetic: boolean;
  readonly ignored: boolean;
}

export interface SimulatedMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly parentID?: string;
  /** Sending a message again moves it to now; its place in the transcript stays. */
  createdAt: number;
  readonly storedAt: number;
  completedAt?: number;
  finish?: string;
  readonly summary: boolean;
  readonly compaction: boolean;
  error?: TurnError;
  voice?: Voice | undefined;
  readonly parts: Map<string, SimulatedPart>;
}

export interface SimulatedTurn {
  readonly answer: SimulatedMessage;
}

export interface SimulatedSession {
  readonly id: string;
  readonly parentID: string | undefined;
  readonly title: string;
  readonly createdAt: number;
  archived: boolean;
  metadata: Readonly<Record<string, unknown>>;
  readonly messages: SimulatedMessage[];
  status: "idle" | "busy" | "retrying";
  turn: SimulatedTurn | undefined;
  job: SimulatedJob | undefined;
  /** Open permissions and questions, by id. */
  readonly asks: Map<string, "permission" | "question">;
}

export const SIMULATED_VOICE: Voice = {
  agent: "build",
  model: { providerID: "simulated", modelID: "model" },
};

/** Sessions and messages as OpenCode keeps them in its database: they survive a `kill -9`. */
export class SimulatedSessions {
  readonly all = new Map<string, SimulatedSession>();
  private counted = 0;
  private idsAt = 0;
  private idsThen = 0;

  constructor(private readonly now: () => number) {}

  create(parentID: string | undefined, title: string): SimulatedSession {
    const session: SimulatedSession = {
      id: `ses_${String(++this.counted).padStart(6, "0")}`,
      parentID,
      title,
      createdAt: this.now(),
      archived: false,
      metadata: {},
      messages: [],
      status: "idle",
      turn: undefined,
      job: undefined,
      asks: new Map(),
    };
    this.all.set(session.id, session);
    return session;
  }

  get(sessionID: string): SimulatedSession | undefined {
    return this.all.get(sessionID);
  }

  /** @throws when the session does not exist: a mistake in the test, not a behaviour of the host */
  must(sessionID: string): SimulatedSession {
    const session = this.all.get(sessionID);
    if (session === undefined) throw new Error(`the simulated host has no session ${sessionID}`);
    return session;
  }

  children(parentID: string): readonly SimulatedSession[] {
    return [...this.all.values()].filter((session) => session.parentID === parentID);
  }

  /** All sessions below `sessionID`, deepest first. */
  below(sessionID: string): readonly SimulatedSession[] {
    return this.children(sessionID).flatMap((child) => [...this.below(child.id), child]);
  }

  /** `msg_` ids in the host's own format: they ascend with time. */
  messageID(): string {
    const now = this.now();
    this.idsThen = now === this.idsAt ? this.idsThen + 1 : 1;
    this.idsAt = now;
    const stamp = (now * 4096 + this.idsThen) % 2 ** 48;
    return `msg_${stamp.toString(16).padStart(12, "0")}${String(++this.counted).padStart(14, "0")}`;
  }

  id(prefix: string): string {
    return `${prefix}_${++this.counted}`;
  }

  /**
   * Stores a user message. One with a known id is changed in place and becomes the newest user message; a part with
   * a known id is changed, any other is added.
   */
  storeUser(
    session: SimulatedSession,
    message: {
      readonly id: string;
      readonly parts: readonly (SimulatedPart & { readonly id: string })[];
      readonly voice?: Voice | undefined;
      readonly compaction?: boolean;
    },
  ): SimulatedMessage {
    const known = session.messages.find((other) => other.id === message.id);
    const stored: SimulatedMessage = known ?? {
      id: message.id,
      role: "user",
      createdAt: 0,
      storedAt: this.now(),
      summary: false,
      compaction: message.compaction ?? false,
      parts: new Map(),
    };
    stored.createdAt = this.now();
    stored.voice = message.voice ?? stored.voice ?? SIMULATED_VOICE;
    for (const { id, ...part } of message.parts) stored.parts.set(id, part);
    if (known === undefined) session.messages.push(stored);
    return stored;
  }

  beginAnswer(session: SimulatedSession, parentID: string, summary = false): SimulatedMessage {
    const answer: SimulatedMessage = {
      id: this.messageID(),
      role: "assistant",
      parentID,
      createdAt: this.now(),
      storedAt: this.now(),
      summary,
      compaction: false,
      parts: new Map(),
    };
    session.messages.push(answer);
    return answer;
  }
}

/** The user message that the run loop would answer next; undefined when it would leave at once. */
export function unansweredMessage(session: SimulatedSession): SimulatedMessage | undefined {
  const newest = (role: SimulatedMessage["role"]) =>
    session.messages
      .filter((message) => message.role === role)
      .reduce<SimulatedMessage | undefined>(
        (best, message) => (best === undefined || isNewer(message, best) ? message : best),
        undefined,
      );
  const user = newest("user");
  const answer = newest("assistant");
  const leaves = answer?.finish !== undefined && answer.finish !== "tool-calls" && answer.parentID === user?.id;
  return leaves ? undefined : user;
}

function isNewer(a: SimulatedMessage, b: SimulatedMessage): boolean {
  return a.createdAt > b.createdAt || (a.createdAt === b.createdAt && a.id > b.id);
}

export function toTranscript(session: SimulatedSession): readonly TranscriptMessage[] {
  return session.messages.map((message) => {
    const { id, role, parentID, createdAt, completedAt, finish, summary, compaction, error, voice } = message;
    const parts = [...message.parts.values()];
    return {
      id,
      role,
      createdAt,
      summary,
      compaction,
      text: parts
        .filter((part) => !part.synthetic && !part.ignored)
        .map((part) => part.text)
        .join("\n"),
      rawText: parts.map((part) => part.text).join("\n"),
      ...(parentID === undefined ? {} : { parentID }),
      ...(completedAt === undefined ? {} : { completedAt }),
      ...(finish === undefined ? {} : { finish }),
      ...(error === undefined ? {} : { error }),
      ...(voice === undefined ? {} : { voice }),
      ...toldIn(parts),
    };
  });
}

function toldIn(parts: readonly { text: string; synthetic: boolean }[]): Pick<TranscriptMessage, "told"> {
  const told = parts.flatMap((part) => (part.synthetic ? (readTold(part.text) ?? []) : []))[0];
  return told === undefined ? {} : { told };
}

export function toInfo(session: SimulatedSession): SessionInfo {
  const { id, parentID, title, createdAt, archived, metadata } = session;
  return { id, title, createdAt, archived, metadata, ...(parentID === undefined ? {} : { parentID }) };
}
