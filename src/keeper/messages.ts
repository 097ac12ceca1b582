/** Inputs, effects and observations of the keeper: everything that goes in and comes out, as data. */
import type { Found, Message } from "../delivery/outbox.ts";
import type { AgentLimits } from "../goals/agent-limits.ts";
import type { Decision } from "../goals/gate.ts";
import type { Goal, GoalEvent } from "../goals/goal.ts";
import type { Hold } from "../goals/run-hold.ts";
import type { Answer, HostEvent, Prompt, TaskRun, Told } from "../host/port.ts";
import type { BackgroundTaskManager, NewTask, TaskChange } from "../tasks/background-task-manager.ts";
import type { Look } from "../tasks/grace-period-pruner.ts";
import type { Launch } from "../tasks/task.ts";
import type { TaskEffect } from "../tasks/task-event.ts";
import type { KeeperConfig } from "./config.ts";
import type { KnownMessages, ToldAs } from "./read-back.ts";
import type { Owner, StoredRoot } from "./stored-root.ts";

export type Saved =
  | { readonly kind: "ok" }
  | { readonly kind: "failed"; readonly reason: string }
  /** The session does not exist any more. */
  | { readonly kind: "gone" }
  /** Another living process keeps the books of this root now. */
  | { readonly kind: "owned-elsewhere"; readonly claim: number };

/** How an outcome that the books call told, by this message, stands in the transcript. */
export interface ToldBack extends TaskRun {
  readonly messageID: string;
  readonly as: ToldAs;
}

export type Input =
  | { readonly type: "host"; readonly event: HostEvent }
  /** The alarm rang. */
  | { readonly type: "clock" }
  /** A person or a model acts on the goal. */
  | { readonly type: "goal"; readonly rootID: string; readonly event: GoalEvent }
  /** A message of the user's is on its way into the root: nothing may overtake it. */
  | { readonly type: "user-speaks"; readonly rootID: string }
  /** What the agent of a root may not do was found out. */
  | { readonly type: "agent-judged"; readonly rootID: string; readonly limits: AgentLimits }
  /** The user wants a quiet or sleeping root to go on. */
  | { readonly type: "wake"; readonly rootID: string }
  /** `elsewhere`: ids of tasks that another living process runs. */
  | {
      readonly type: "restored";
      readonly stored: StoredRoot;
      readonly awake: boolean;
      readonly elsewhere: readonly string[];
    }
  | { readonly type: "reread"; readonly stored: StoredRoot; readonly elsewhere: readonly string[] }
  /** The root's metadata lost our key, or never got it. */
  | { readonly type: "storage-repaired"; readonly rootID: string }
  /** Another living process keeps the books of this root now: the user has written there. */
  | { readonly type: "moved"; readonly rootID: string; readonly claim: number }
  | { readonly type: "looked"; readonly taskID: string; readonly run: number; readonly look: Look }
  /** Found in the parent's transcript after a restart: the host had told the outcome before. `answered`: and it was read. */
  | {
      readonly type: "told-before";
      readonly told: Told;
      readonly messageID: string;
      readonly run: number;
      readonly answered: boolean;
    }
  /** After a restart the transcript of a root was read. `lostID`: the user's last message, of which nothing is left. */
  | {
      readonly type: "read-back";
      readonly rootID: string;
      readonly told: readonly ToldBack[];
      readonly lostID: string | undefined;
    }
  | { readonly type: "statuses"; readonly answer: Answer<ReadonlyMap<string, "busy" | "retrying">> }
  | { readonly type: "saved"; readonly rootID: string; readonly revision: number; readonly result: Saved }
  /** `sessionID`: the root, or a task that tasks of its own report to. */
  | {
      readonly type: "sent";
      readonly rootID: string;
      readonly sessionID: string;
      readonly messageID: string;
      readonly answer: Answer<void>;
    }
  | { readonly type: "verified"; readonly rootID: string; readonly sessionID: string; readonly found: Found }
  /** A child session was made for a task. `stopped`: nobody wants it any more, and why. */
  | {
      readonly type: "launched";
      readonly rootID: string;
      readonly task: NewTask;
      readonly requestedAt: number;
      readonly stopped?: string | undefined;
    }
  /** An ended task goes on with another prompt. */
  | {
      readonly type: "resume";
      readonly rootID: string;
      readonly taskID: string;
      readonly callerID: string;
      readonly messageID: string | undefined;
      readonly requestedAt: number;
      readonly launch: Launch;
      readonly promptID: string;
      readonly prompt: string;
    }
  | { readonly type: "cancel"; readonly rootID: string; readonly taskID: string; readonly reason: string }
  /** Tasks of this session that are still being made come too late. */
  | { readonly type: "launches-stopped"; readonly rootID: string; readonly parentID: string }
  | {
      readonly type: "started";
      readonly taskID: string;
      readonly run: number;
      readonly answer: Answer<"sent" | "answered">;
    }
  /** A tool result hands an outcome over. */
  | {
      readonly type: "read";
      readonly rootID: string;
      readonly taskID: string;
      readonly run: number;
      readonly sessionID: string;
      readonly messageID: string;
    }
  /** Somebody waits for a task: its record stays until he lets go. `by`: the session that waits. */
  | {
      readonly type: "attached";
      readonly rootID: string;
      readonly taskID: string;
      readonly by: string | undefined;
      readonly attached: boolean;
    }
  /** A user's message takes the pending outcomes along. */
  | { readonly type: "handed-over"; readonly rootID: string; readonly messageID: string };

export type Effect =
  | TaskEffect
  | { readonly type: "save"; readonly rootID: string; readonly revision: number; readonly stored: StoredRoot }
  /** `deposit`: into a session that works, whose turn goes on with it. */
  | { readonly type: "send"; readonly rootID: string; readonly prompt: Prompt; readonly deposit?: boolean }
  /** Ends the turn of a root. `messageID`: the newest user-role message in it. */
  | { readonly type: "abort-turn"; readonly rootID: string; readonly messageID: string }
  /** The host may go on with a turn that was held. */
  | { readonly type: "release"; readonly rootID: string }
  | { readonly type: "verify"; readonly rootID: string; readonly sessionID: string; readonly message: Message }
  /** Reads in the transcript of a root what the books call told. `before`: who kept them until now. */
  | {
      readonly type: "read-back";
      readonly rootID: string;
      readonly taskIDs: readonly string[];
      readonly known: KnownMessages;
      readonly before: Owner;
    }
  | {
      readonly type: "toast";
      readonly rootID: string;
      readonly variant: "info" | "success" | "warning" | "error";
      readonly message: string;
    };

/** What is known when an input comes and does not stand in it. Nothing is worked out unless somebody asks. */
export interface KeeperFacts {
  /** Epoch ms; stands still while an input is processed. */
  readonly now: () => number;
  readonly config: KeeperConfig;
  /** Whether children that others made are tasks too. */
  readonly adopts: boolean;
  /** This instance, as it stands in the tasks that it runs. */
  readonly runner: string;
  readonly manager: Pick<BackgroundTaskManager, "tree" | "signs" | "of" | "isAnyWaiting" | "waiting" | "seated">;
  /** Whether there is anything in the books of a root. */
  readonly knows: (rootID: string) => boolean;
}

/** What a trace and a progress display subscribe to. */
export type Observation =
  | { readonly type: "input"; readonly rootID: string | undefined; readonly input: Input; readonly facts?: KeeperFacts }
  /**
   * The input is about this root too, of which it is not otherwise to be seen. `forgotten`: a session of it that nobody
   * needs any more. `rested`: one whose idle was missed.
   */
  | {
      readonly type: "concerns";
      readonly rootID: string;
      readonly forgotten?: string | undefined;
      readonly rested?: string | undefined;
    }
  | { readonly type: "task"; readonly rootID: string; readonly change: TaskChange }
  | {
      readonly type: "goal";
      readonly rootID: string;
      readonly before: Goal | undefined;
      readonly after: Goal | undefined;
      readonly event: GoalEvent["type"] | "restored" | "moved";
    }
  /** Emitted when the answer of the gate changes, not each time it is asked. */
  | { readonly type: "decision"; readonly rootID: string; readonly decision: Decision }
  /** Emitted when the answer changes. */
  | { readonly type: "hold"; readonly rootID: string; readonly hold: Hold }
  | { readonly type: "outbox"; readonly rootID: string; readonly state: string; readonly message: Message | undefined }
  | { readonly type: "effect"; readonly rootID: string | undefined; readonly effect: Effect };
