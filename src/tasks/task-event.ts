import type { Answer, PromptVoice, TurnError } from "../host/port.ts";
import type { Look } from "./grace-period-pruner.ts";
import type { Launch, Task, TaskTiming } from "./task.ts";

/** Everything that can happen to a task. */
export type TaskEvent =
  | { readonly type: "busy" }
  | { readonly type: "idle" }
  /** An error was published in the child, which proves no end. */
  | { readonly type: "errored"; readonly error: TurnError }
  /** A model has answered in the child, without an error. */
  | { readonly type: "answered" }
  /** The child's turn was aborted; who did it is not known yet. */
  | { readonly type: "aborted" }
  /** A user message was stored in the child. */
  | { readonly type: "prompted"; readonly promptID: string }
  /** A slot is free for it. */
  | { readonly type: "admitted" }
  /** What became of the prompt: the host has it, or an answer to it was found already. */
  | { readonly type: "sent"; readonly run: number; readonly answer: Answer<"sent" | "answered"> }
  /** Its reader, its user or its parent's end wants it gone. `text` as for `deleted`. */
  | { readonly type: "cancel"; readonly reason: string; readonly text: string | undefined }
  /** Its reader wants more of it. */
  | {
      readonly type: "resume";
      readonly launch: Launch;
      readonly promptID: string;
      readonly prompt: string;
      /** This instance: whoever ran the task before, it runs here now. */
      readonly runner: string;
    }
  /** The last of its own tasks has ended, or was told to it. */
  | { readonly type: "own-work-over" }
  /** `text` is the last completed text seen of the child: the session is gone, the record keeps it. */
  | { readonly type: "deleted"; readonly text: string | undefined }
  /** The host's own message about the end of a background task was stored in the parent. */
  | { readonly type: "told"; readonly ended: "completed" | "failed"; readonly text: string; readonly messageID: string }
  /** A message stands in the parent that may be its maker's report. */
  | { readonly type: "maker-told"; readonly messageID: string }
  /** The user has rejected what it asked for: its turn ends in the middle of a call, unless he has said more. */
  | { readonly type: "rejected"; readonly kind: "permission" | "question" }
  /** A message of another manager that keeps books on the same child tells a session that it is lost. */
  | { readonly type: "told-lost"; readonly run: number; readonly sessionID: string; readonly messageID: string }
  /** The parent's Task-tool part about this child changed. */
  | {
      readonly type: "tool";
      readonly state: "running" | "completed" | "error";
      readonly callID: string;
      readonly background: boolean;
      readonly output: string;
      readonly messageID: string;
    }
  /** `kept` is the last completed text seen of the child. */
  | { readonly type: "looked"; readonly run: number; readonly look: Look; readonly kept?: string | undefined }
  /** The status list was read after a silence. */
  | { readonly type: "status-read"; readonly shown: boolean }
  /** The user aborted the root. */
  | { readonly type: "interrupted" }
  /** Found again in stored state whose process is gone. `waits`: its prompt had not been sent by then. */
  | { readonly type: "restarted"; readonly runner: string; readonly waits: boolean }
  /** What the process that runs it has written down since. */
  | { readonly type: "reread"; readonly stored: Task }
  /** `byTurn`: a tool call of the turn that runs there has the outcome as its result. */
  | {
      readonly type: "delivered";
      readonly run: number;
      readonly sessionID: string;
      readonly messageID: string;
      readonly byTurn?: boolean;
    }
  /** The message that was to deliver it is not there. */
  | { readonly type: "not-stored"; readonly messageID: string }
  /** The task that it was delivered to has ended without an answer: somebody above has to hear of it. */
  | { readonly type: "reader-ended" }
  | { readonly type: "reconciled"; readonly run: number }
  | { readonly type: "undelivered"; readonly run: number; readonly reason: string }
  | { readonly type: "clock" };

export type TaskEffect =
  | {
      readonly type: "look";
      readonly taskID: string;
      readonly run: number;
      readonly scope: "transcript" | "everything";
    }
  | { readonly type: "ask-statuses" }
  /** Whose child a session is. The answer comes as if the host had shown it. */
  | { readonly type: "ask-session"; readonly sessionID: string }
  /** Sends its prompt, after a look at the transcript if it may be there already. Without `prompt` its session has it. */
  | {
      readonly type: "start";
      readonly taskID: string;
      readonly run: number;
      readonly promptID: string;
      readonly prompt: string | undefined;
      readonly voice: PromptVoice;
      readonly mayBeThere: boolean;
    }
  /** Ends its turn, and reads what it has left behind. */
  | { readonly type: "abort"; readonly taskID: string; readonly run: number }
  /** Another process runs it: only the stored state can say how it goes. */
  | { readonly type: "reread"; readonly rootID: string };

export interface Transition {
  readonly task: Task;
  readonly effects: readonly TaskEffect[];
}

export interface TransitionContext {
  readonly now: number;
  readonly timing: TaskTiming;
  /** When anything was last heard of the child. */
  readonly lastSignAt: number;
  /** Another living process runs it, and only that one settles it. */
  readonly runsElsewhere: boolean;
  /** The host shows the child at work, on whatever turn. */
  readonly isBusy: boolean;
  /** The same of its parent. */
  readonly parentIsBusy: boolean;
  /** A tool call of the child runs. */
  readonly toolRuns: boolean;
  /** Tasks of its own are live, or still to be told to it. Asked for when its turn has finished. */
  readonly hasOwnWork: () => boolean;
}
