/**
 * What this project needs from a coding-agent host, in its own words. `host/opencode.ts` is the adapter for stock
 * OpenCode 1.18; a second host is a second adapter. Nothing outside `host/` knows an SDK type.
 */

/** Every answer may be missing: the host did not know the thing (`gone`) or did not answer (`unknown`). */
export type Answer<T> =
  | { readonly kind: "known"; readonly value: T }
  /** The host says that the session does not exist (404). */
  | { readonly kind: "gone" }
  /** Time-out, transport error or nonsense. Proves nothing. */
  | { readonly kind: "unknown"; readonly reason: string };

/**
 * What became of something that was to be stored in a session. `undone`: the user has undone messages of it, and
 * whatever is stored next deletes them for good. Nothing was stored.
 */
export type Stored = Answer<void> | { readonly kind: "undone" };

/** An error of a turn, as the host reports it. Branch on `name`, never on `message`. */
export interface TurnError {
  readonly name: string;
  readonly message: string;
  readonly statusCode?: number;
}

/** An error of a turn with what the provider said, as far as it tells what can be done about it. */
export interface ProviderError extends TurnError {
  /** Of the provider's answer, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the provider's answer, or what stands in its place for an error in mid-stream. JSON, as a rule. */
  readonly body?: string;
  /** Whether the host thinks that the same request can succeed later. */
  readonly isRetryable?: boolean;
  /** It stands in an assistant message, so the turn has ended with it: the host does not go on by itself. */
  readonly final?: boolean;
}

/** Agent, model and variant of a session's last user message: an injected prompt must repeat them. */
export interface Voice {
  readonly agent: string;
  readonly model: { readonly providerID: string; readonly modelID: string };
  readonly variant?: string;
}

/** What model requests have cost. Tokens of all kinds are summed; a cost is in US dollars, 0 where the host knows no price. */
export interface Usage {
  readonly tokens: number;
  readonly cost: number;
}

/** The host's own report of an ended background task, in the session of its parent. */
export interface Told {
  readonly taskID: string;
  readonly ended: "completed" | "failed";
  readonly text: string;
}

/** One run of a task. */
export interface TaskRun {
  readonly taskID: string;
  readonly run: number;
}

/** A piece of a message that a person would read. */
export type TranscriptPart =
  | { readonly type: "text" | "reasoning"; readonly text: string }
  | {
      readonly type: "tool";
      /** As the model knows it. */
      readonly callID: string;
      readonly tool: string;
      readonly state: "pending" | "running" | "completed" | "error";
      readonly title: string;
      /** What the tool was called with, as JSON. */
      readonly input: string;
      /** Its output, or its error. */
      readonly output: string;
    };

/** One message of a transcript: what decides whether a run has finished, and what there is to read. */
export interface TranscriptMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  /** The user message that an assistant message answers. */
  readonly parentID?: string;
  readonly createdAt: number;
  readonly completedAt?: number;
  readonly finish?: string;
  readonly summary: boolean;
  readonly error?: TurnError;
  /** Text parts joined, without synthetic, ignored and reasoning ones for assistant messages. */
  readonly text: string;
  /** For user messages: holds a part that the host made to trigger a compaction. */
  readonly compaction: boolean;
  /** A user message without any part: the host stores a message first and its parts after it, and died in between. */
  readonly torn?: true;
  readonly voice?: Voice;
  /** Every text part, framed ones included: an outbox recognises its own message by the tag. */
  readonly rawText: string;
  readonly told?: Told;
  /** In the order in which they were written; synthetic and ignored texts are left out. */
  readonly parts: readonly TranscriptPart[];
  readonly usage?: Usage;
}

/** The last rule that matches decides. */
export interface PermissionRule {
  readonly permission: string;
  readonly pattern: string;
  readonly action: "allow" | "ask" | "deny";
}

export interface SessionInfo {
  readonly id: string;
  readonly parentID?: string;
  readonly title: string;
  readonly createdAt: number;
  /** When the host last changed it, its metadata among others. */
  readonly updatedAt?: number;
  readonly archived: boolean;
  /** The user has undone its last messages. They are still there: the next message that is stored deletes them. */
  readonly undone?: true;
  readonly directory?: string;
  /** Its own permission rules, which are stronger than those of any agent. */
  readonly rules?: readonly PermissionRule[];
  /** Of its last user message; of its creation before there was one. */
  readonly voice?: Voice;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * What the host shows of a turn that ends, where the end of the turn ends the process: in `opencode run`. Nowhere else
 * is there any of these.
 */
export type TurnEvent =
  /** The host waits for us: a text of the step is complete, or the next model request is about to be made. */
  | {
      readonly type: "turn-held";
      readonly sessionID: string;
      readonly messageID: string;
      /** The newest user message that the step has read, or the request is going to hold. */
      readonly readID: string;
    }
  /** It is not held any longer: nothing is waited for, or a tool of the step begins to work. */
  | { readonly type: "turn-goes-on"; readonly sessionID: string }
  /** The last step of the turn is complete. The turn ends in a few milliseconds, unless a message is stored by then. */
  | {
      readonly type: "step-ended";
      readonly sessionID: string;
      readonly messageID: string;
      /** As above. */
      readonly readID: string;
    };

/** Something happened in the host. Translated once, in `host/events.ts`. */
export type HostEvent =
  | TurnEvent
  | { readonly type: "session-seen"; readonly session: SessionInfo; readonly created: boolean }
  | { readonly type: "session-deleted"; readonly sessionID: string; readonly parentID?: string }
  | { readonly type: "session-busy"; readonly sessionID: string }
  | { readonly type: "session-retrying"; readonly sessionID: string; readonly until: number; readonly message: string }
  | { readonly type: "session-idle"; readonly sessionID: string }
  | { readonly type: "session-error"; readonly sessionID: string; readonly error: ProviderError }
  | { readonly type: "session-compacted"; readonly sessionID: string }
  /** For good. Of a session that is undone: somebody writes there, and his message comes right behind. */
  | { readonly type: "message-removed"; readonly sessionID: string; readonly messageID: string }
  | {
      readonly type: "user-message";
      readonly sessionID: string;
      readonly messageID: string;
      readonly voice: Voice | undefined;
    }
  | {
      /** A part of a user message that a model reads, or that is ignored; never a compaction request. */
      readonly type: "user-text";
      readonly sessionID: string;
      readonly messageID: string;
      readonly text: string;
      readonly synthetic: boolean;
      readonly ignored: boolean;
      readonly told?: Told;
      /** The lost tasks that it tells: a goalkeeper's message, of this manager or another one. */
      readonly lost?: readonly TaskRun[];
    }
  | {
      /** A text part of an assistant message is complete. */
      readonly type: "assistant-text";
      readonly sessionID: string;
      readonly text: string;
    }
  | {
      readonly type: "assistant-message";
      readonly sessionID: string;
      readonly messageID: string;
      readonly parentID: string;
      readonly summary: boolean;
      readonly completedAt: number | undefined;
      readonly error: ProviderError | undefined;
      /** Its turn was at work before this instance was loaded, and has ended with the one before: a reload. */
      readonly fromBefore?: true;
      /** Of this one model request; undefined until it is complete. */
      readonly usage: Usage | undefined;
    }
  | {
      /** A tool part of a session changed. `child` is set for the host's own Task tool. */
      readonly type: "tool";
      readonly sessionID: string;
      readonly messageID: string;
      readonly callID: string;
      readonly tool: string;
      readonly state: "running" | "completed" | "error";
      readonly output: string;
      /** It was called before this instance was loaded, and was aborted with the one before. */
      readonly fromBefore?: true;
      /** It has the name of a tool of ours, and another plugin with a tool of that name has answered it. */
      readonly byOther?: true;
      readonly child?: { readonly sessionID: string; readonly background: boolean; readonly title: string };
    }
  | {
      readonly type: "ask-opened";
      readonly sessionID: string;
      readonly askID: string;
      readonly kind: "permission" | "question";
      readonly about: string;
    }
  | {
      readonly type: "ask-closed";
      readonly sessionID: string;
      readonly askID: string;
      readonly kind: "permission" | "question";
      readonly rejected: boolean;
    };

/** An agent of the host, as far as it matters for launching one. */
export interface AgentInfo {
  readonly name: string;
  readonly mode: "primary" | "subagent" | "all";
  readonly hidden: boolean;
  readonly model?: Voice["model"];
  readonly variant?: string;
  /** How many model requests a turn of it may have; undefined: as many as it wants. */
  readonly steps?: number;
  readonly rules: readonly PermissionRule[];
}

/** A child session to be made. Nothing runs in it until it is prompted. */
export interface NewChild {
  readonly parentID: string;
  readonly title: string;
  readonly voice: PromptVoice;
  readonly rules: readonly PermissionRule[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A prompt of ours. Sending it again under the same ids is an upsert in the host, never a second message. */
export interface Prompt {
  readonly sessionID: string;
  readonly messageID: string;
  readonly partID: string;
  readonly text: string;
  /** Undefined: that of the last user message is read from the session. Without a model the host chooses one. */
  readonly voice: PromptVoice | undefined;
  /** Whether a person sees it as a message of the machine's. The prompt of a child is not: it is the child's task. */
  readonly synthetic: boolean;
}

export type PromptVoice = Omit<Voice, "model"> & { readonly model?: Voice["model"] };

export interface HostPort {
  /** Sessions that the host shows as working. A session that is not in it is idle, gone or was never started. */
  statuses(): Promise<Answer<ReadonlyMap<string, "busy" | "retrying">>>;
  children(parentID: string): Promise<Answer<readonly SessionInfo[]>>;
  session(sessionID: string): Promise<Answer<SessionInfo>>;
  /** Root sessions of this directory. */
  roots(): Promise<Answer<readonly SessionInfo[]>>;
  /** The whole transcript, oldest first. */
  transcript(sessionID: string): Promise<Answer<readonly TranscriptMessage[]>>;
  agents(): Promise<Answer<readonly AgentInfo[]>>;
  /** "provider/model" of every model that can be prompted with. */
  models(): Promise<Answer<ReadonlySet<string>>>;
  createChild(child: NewChild): Promise<Answer<SessionInfo>>;
  /** Ends the running turn of a session. Known also when there was none. */
  abort(sessionID: string): Promise<Answer<void>>;
  /** Stores a user message and lets the host start a turn. Resolves once the host has accepted it. */
  prompt(prompt: Prompt): Promise<Stored>;
  /** Stores a user message in a session that works: its turn does not end before it has answered it. */
  deposit(prompt: Prompt): Promise<Stored>;
  /** Shows a text in the session that no model reads and that starts no turn. Only for an idle session. */
  show(sessionID: string, text: string, voice: Voice | undefined): Promise<Stored>;
  /** Replaces the metadata of a session as a whole. `rules` are added behind its permission rules. */
  writeMetadata(
    sessionID: string,
    metadata: Readonly<Record<string, unknown>>,
    rules?: readonly PermissionRule[],
  ): Promise<Answer<void>>;
  toast(toast: { title: string; message: string; variant: "info" | "success" | "warning" | "error" }): Promise<void>;
  log(level: "debug" | "info" | "warn" | "error", message: string, extra?: Readonly<Record<string, unknown>>): void;
}
