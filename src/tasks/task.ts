import type { PromptVoice, TurnError, Usage } from "../host/port.ts";

/** How a task came to be. See the glossary in docs/glossary.md. */
export type Origin = "foreground" | "background" | "launched" | "adopted";

export type TerminalStatus = "completed" | "failed" | "cancelled" | "lost";
export type TaskStatus = "queued" | "running" | "missing" | TerminalStatus;

/** One prompt-to-end stretch of a task. Outcome and delivery belong to it; events of an earlier run are inert. */
export interface Run {
  /** 1 for the first run. */
  readonly number: number;
  readonly startedAt: number;
  /** The tool call of the parent that started it, for the host's own Task tool. */
  readonly callID?: string;
  /** The user message in the child that this run answers: once it was seen, or from the start if it is ours. */
  readonly promptID?: string;
  /** How often that message was sent, if it is ours. */
  readonly attempt?: number;
  /** The first error of the session in this run. It does not end the run: the transcript says how that ended. */
  readonly error?: TurnError;
}

/** How a task that we launched runs: resolved when it was launched, and kept for its next run. */
export interface Launch {
  readonly voice: PromptVoice;
  /** The model is not to be relied on: its reader is told to verify the result. */
  readonly unstable: boolean;
}

/** How a run ended, with what there is to read. */
export interface Outcome {
  /** The child's last text. Undefined when it has not been read (again) yet. */
  readonly text?: string;
  readonly error?: TurnError;
  /** Why it ended, in words, where the status alone does not say it. */
  readonly reason?: string;
  readonly usage?: Usage;
}

/** Where the outcome of a run is on its way to its reader. */
export type Delivery =
  /** Whoever made the task has read it himself; nothing is told. */
  | { readonly state: "not-owed" }
  /** The host may still tell it, or its transcript is still being read, until then. Afterwards it is ours to tell. */
  | { readonly state: "pending"; readonly teller: "host"; readonly until: number }
  /** Whoever made the task may tell it, until then. Afterwards nobody does, unless it is lost. */
  | { readonly state: "pending"; readonly teller: "maker"; readonly until: number }
  | { readonly state: "pending"; readonly teller: "goalkeeper" }
  /** `sessionID` has a message (or tool result) about it. `byTurn`: reconciled when the turn that runs there ends. */
  | {
      readonly state: "delivered";
      readonly sessionID: string;
      readonly messageID: string;
      readonly at: number;
      readonly byTurn: boolean;
    }
  /** The parent has answered it. `at` stays the moment of delivery: the query window starts there. */
  | { readonly state: "reconciled"; readonly at: number }
  | { readonly state: "undelivered"; readonly at: number; readonly reason: string };

/** Why a running task is doubted. */
export type Doubt = "idle-unfinished" | "restart" | "no-status";

interface TaskBase {
  /** The child's session id. */
  readonly id: string;
  readonly parentID: string;
  readonly rootID: string;
  readonly origin: Origin;
  readonly title: string;
  readonly createdAt: number;
  readonly run: Run;
  /** The plugin instance that runs it; only that one settles it while its process lives. */
  readonly runner: string;
  /** Set when the user aborted the root while it ran: an aborted transcript then means `cancelled`. */
  readonly interruptedAt?: number;
  /** Set when we launched it, or have resumed it. */
  readonly launch?: Launch;
}

/** Known, and its run has not begun. */
export interface QueuedTask extends TaskBase {
  readonly status: "queued";
  readonly waits: /** Somebody else made it, and there was no sign of life yet. */
    | { readonly for: "sign"; readonly askAt: number }
    /** We launched it, and others have the slots. `prompt` is undefined after a restart: its session holds it. */
    | { readonly for: "slot"; readonly prompt?: string }
    /** Its prompt is on its way, and is sent again at `until`. It has a slot. */
    | { readonly for: "turn"; readonly prompt?: string; readonly until: number };
}

export interface RunningTask extends TaskBase {
  readonly status: "running";
  /**
   * `alive`: look at `askAt` if nothing was heard until then. `idle`: the host shows the child idle; its transcript
   * is read at `lookAt`, unless whoever tells its outcome comes first. `aborted`: the same, after an aborted turn.
   * `awaits-own`: its turn has finished, and it will be woken by tasks of its own. `elsewhere`: another process runs it,
   * and what that one has written down is read again at `askAt`. `returned`: the call of a Task tool has returned this
   * output, and the child did not rest; what works at `lookAt` was not awaited by its tool. `worked`: it had begun by then.
   */
  readonly observed:
    | { readonly kind: "alive"; readonly askAt: number }
    | { readonly kind: "awaits-own"; readonly since: number }
    | { readonly kind: "elsewhere"; readonly askAt: number }
    | { readonly kind: "idle" | "aborted"; readonly since: number; readonly lookAt: number }
    | {
        readonly kind: "returned";
        readonly lookAt: number;
        readonly worked: boolean;
        readonly output: string;
        readonly messageID: string;
      };
}

export interface MissingTask extends TaskBase {
  readonly status: "missing";
  readonly doubt: Doubt;
  readonly since: number;
  /** The end of the grace period: from then on a look may settle it as `lost`. */
  readonly graceUntil: number;
  readonly lookAt: number;
  readonly looks: number;
}

export interface EndedTask extends TaskBase {
  readonly status: TerminalStatus;
  readonly endedAt: number;
  readonly outcome: Outcome;
  readonly delivery: Delivery;
}

export type LiveTask = QueuedTask | RunningTask | MissingTask;
export type Task = LiveTask | EndedTask;

export function isLive(task: Task): task is LiveTask {
  return task.status === "queued" || task.status === "running" || task.status === "missing";
}

export function isEnded(task: Task): task is EndedTask {
  return !isLive(task);
}

/** Waits for one of our slots. */
export function isWaiting(task: Task): task is QueuedTask & { readonly waits: { readonly for: "slot" } } {
  return task.status === "queued" && task.waits.for === "slot";
}

/** Has one of our slots: it was launched by us, was prompted, and works. One that waits for its own tasks does not. */
export function isSeated(task: Task): boolean {
  if (!isLive(task) || task.origin !== "launched" || isWaiting(task)) return false;
  return task.status !== "running" || task.observed.kind !== "awaits-own";
}

/** Whether the outcome waits to be told by us. A lost task is told, but never owed. */
export function isOursToTell(task: Task): task is EndedTask {
  return isEnded(task) && task.delivery.state === "pending" && task.delivery.teller === "goalkeeper";
}

/** Whether the next message names it. One that could not be delivered rides along, and makes none go out. */
export function isUntold(task: Task): task is EndedTask {
  return isEnded(task) && (task.delivery.state === "undelivered" || isOursToTell(task));
}

/** The earliest moment at which `clock` would change something; `Infinity` if never. */
export function taskDeadline(task: Task): number {
  switch (task.status) {
    case "queued":
      return queuedUntil(task);
    case "running":
      return observedUntil(task);
    case "missing":
      return task.lookAt;
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return task.delivery.state === "pending" && task.delivery.teller !== "goalkeeper"
        ? task.delivery.until
        : Number.POSITIVE_INFINITY;
  }
}

function queuedUntil({ waits }: QueuedTask): number {
  switch (waits.for) {
    case "sign":
      return waits.askAt;
    case "slot":
      return Number.POSITIVE_INFINITY;
    case "turn":
      return waits.until;
  }
}

function observedUntil({ observed }: RunningTask): number {
  switch (observed.kind) {
    case "alive":
      return observed.askAt;
    case "elsewhere":
      return observed.askAt;
    case "awaits-own":
      return Number.POSITIVE_INFINITY;
    case "idle":
    case "aborted":
    case "returned":
      return observed.lookAt;
  }
}

/** Durations of the lifecycle, in milliseconds. Options are seconds for people; they become this once. */
export interface TaskTiming {
  /** How long a missing task may stay unobservable before its transcript settles it. */
  readonly graceMs: number;
  /** The query window: how long an ended record stays readable after its delivery. */
  readonly cleanupDelayMs: number;
  /** Looking again at an unreadable transcript stops here, counted from the first doubt; 0: never. */
  readonly ceilingMs: number;
  /** A launched task without a sign of life and without a running tool for this long is cancelled; 0: never. */
  readonly staleMs: number;
}

/** How long the host's own message about an ended native task may take before we read the transcript. */
export const HOST_TELLS_WITHIN_MS = 2_000;
/** A call of OpenCode's own Task tool returns when its child rests. The news of that may come this much later. */
export const RESTS_WITHIN_MS = 500;
/** OpenCode answers a prompt before the turn begins. In a busy process that took a second and more. */
export const BEGINS_WITHIN_MS = 3_000;
/** By then the host has stored how a turn ended, counted from its first idle. */
export const STORED_WITHIN_MS = 500;
/** Silence after which the host is asked for its statuses. */
export const SILENCE_MS = 30_000;
/** In the first minute of a run silence alone asks nothing (too early is not missing). */
export const QUIET_START_MS = 60_000;
/** A look that got no answer by then is asked again. The host adapter's own time-outs are shorter. */
export const LOOK_AGAIN_MS = 15_000;
/** A prompt of ours that the host has not answered by then is sent again. The adapter's own time-outs are shorter. */
export const ACCEPTS_WITHIN_MS = 15_000;
/** A prompt that was taken and has started no turn by then is sent again. */
export const STARTS_WITHIN_MS = 10_000;
/** Pauses before the sends that follow the first: three at most. */
export const RESEND_AFTER_MS: readonly number[] = [1_000, 2_000, 4_000];
/** The record keeps this much of the child's last text (32 KB), so that a deleted session still has its output. */
export const KEPT_TEXT_LENGTH = 32 * 1024;
