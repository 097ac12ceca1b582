import type {
  PermissionRule,
  PromptVoice,
  SessionInfo,
  TranscriptMessage,
  TranscriptPart,
  TurnError,
  Usage,
  Voice,
} from "../host/port.ts";
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

/** A tool call of a message. */
export type SimulatedCall = Extract<TranscriptPart, { type: "tool" }>;

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
  /** By call id. They come before the text: a turn is one message here, and its text is what it ends with. */
  readonly calls: Map<string, SimulatedCall>;
  readonly parts: Map<string, SimulatedPart>;
}

export interface SimulatedTurn {
  readonly answer: SimulatedMessage;
  readonly begunAt: number;
  /** What the model has said so far. It is written when the turn ends, also when it is cut short. */
  said?: string;
}

export interface SimulatedSession {
  readonly id: string;
  readonly parentID: string | undefined;
  readonly title: string;
  readonly createdAt: number;
  archived: boolean;
  /** The first of the messages that the user has undone. */
  undoneFrom: string | undefined;
  metadata: Readonly<Record<string, unknown>>;
  /** Agent and model with which it was made, or those of its last prompt. */
  voice: PromptVoice | undefined;
  rules: readonly PermissionRule[] | undefined;
  readonly messages: SimulatedMessage[];
  status: "idle" | "busy" | "retrying";
  turn: SimulatedTurn | undefined;
  /** How its failed turn ended is still to be stored: what is to begin meanwhile begins after that. */
  storing: { isWoken: boolean } | undefined;
  /** How often it was aborted: a turn that was to begin then does not. */
  aborts: number;
  job: SimulatedJob | undefined;
  /** Calls of another plugin's tool named `task` that have not returned. */
  readonly openCalls: Set<string>;
  /** Open permissions and questions, by id. */
  readonly asks: Map<string, "permission" | "question">;
}

/** What every answer costs that has ended well. */
export const SIMULATED_USAGE: Usage = { tokens: 100, cost: 0.001 };

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
      undoneFrom: undefined,
      metadata: {},
      voice: undefined,
      rules: undefined,
      messages: [],
      status: "idle",
      turn: undefined,
      storing: undefined,
      aborts: 0,
      job: undefined,
      openCalls: new Set(),
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
      calls: new Map(),
      parts: new Map(),
    };
    stored.createdAt = this.now();
    stored.voice = message.voice ?? stored.voice ?? SIMULATED_VOICE;
    session.voice = stored.voice;
    for (const { id, ...part } of message.parts) stored.parts.set(id, part);
    if (known === undefined) session.messages.push(stored);
    return stored;
  }

  /** Makes an undo final. Returns the ids of the messages that are gone by it. */
  deleteUndone(session: SimulatedSession): readonly string[] {
    const at = session.messages.findIndex(({ id }) => id === session.undoneFrom);
    session.undoneFrom = undefined;
    return at < 0 ? [] : session.messages.splice(at).map(({ id }) => id);
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
      calls: new Map(),
      parts: new Map(),
    };
    session.messages.push(answer);
    return answer;
  }
}

/** OpenCode stores the parts of a message so long after it at the first prompt of a process. */
const PARTS_WITHIN_MS = 1_600;

/** The process dies between the last message and its parts, unless a turn has begun to read it. */
export function tear(session: SimulatedSession, now: number): void {
  const last = session.messages.findLast(({ role, compaction }) => role === "user" && !compaction);
  const isYoung = last !== undefined && now < last.createdAt + PARTS_WITHIN_MS;
  if (isYoung && session.messages.every(({ parentID }) => parentID !== last.id)) last.parts.clear();
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
    const usage = usageOf(message);
    return {
      id,
      role,
      createdAt,
      summary,
      compaction,
      ...(role === "user" && !compaction && parts.length === 0 ? { torn: true as const } : {}),
      text: parts
        .filter((part) => !part.synthetic && !part.ignored)
        .map((part) => part.text)
        .join("\n"),
      rawText: parts.map((part) => part.text).join("\n"),
      parts: [...message.calls.values(), ...parts.flatMap(readable)],
      ...(parentID === undefined ? {} : { parentID }),
      ...(completedAt === undefined ? {} : { completedAt }),
      ...(finish === undefined ? {} : { finish }),
      ...(error === undefined ? {} : { error }),
      ...(voice === undefined ? {} : { voice }),
      ...(usage === undefined ? {} : { usage }),
      ...toldIn(parts),
    };
  });
}

function readable({ text, synthetic, ignored }: SimulatedPart): readonly TranscriptPart[] {
  return synthetic || ignored || text.trim() === "" ? [] : [{ type: "text", text }];
}

/** An answer that failed or was aborted counts no tokens. */
export function usageOf({ role, finish, error }: SimulatedMessage): Usage | undefined {
  return role === "assistant" && finish !== undefined && error === undefined ? SIMULATED_USAGE : undefined;
}

function toldIn(parts: readonly { text: string; synthetic: boolean }[]): Pick<TranscriptMessage, "told"> {
  const told = parts.flatMap((part) => (part.synthetic ? (readTold(part.text) ?? []) : []))[0];
  return told === undefined ? {} : { told };
}

/** Without a model the host does not say with what a session will run. */
function wholeVoice(voice: PromptVoice | undefined): Voice | undefined {
  return voice?.model === undefined ? undefined : { ...voice, model: voice.model };
}

export function toInfo(session: SimulatedSession): SessionInfo {
  const { id, parentID, title, createdAt, archived, undoneFrom, metadata, rules } = session;
  const voice = wholeVoice(session.voice);
  return {
    id,
    title,
    createdAt,
    archived,
    metadata,
    ...(undoneFrom === undefined ? {} : { undone: true }),
    ...(parentID === undefined ? {} : { parentID }),
    ...(rules === undefined ? {} : { rules }),
    ...(voice === undefined ? {} : { voice }),
  };
}
