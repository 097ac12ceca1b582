import type { Look } from "./grace-period-pruner.ts";
import type { Task, TaskTiming } from "./task.ts";

/** Everything that can happen to a task. */
export type TaskEvent =
  | { readonly type: "busy" }
  | { readonly type: "idle" }
  /** The child's turn was aborted; who did it is not known yet. */
  | { readonly type: "aborted" }
  /** A user message was stored in the child. */
  | { readonly type: "prompted"; readonly promptID: string }
  /** `text` is the last completed text seen of the child: the session is gone, the record keeps it. */
  | { readonly type: "deleted"; readonly text: string | undefined }
  /** The host's own message about the end of a background task was stored in the parent. */
  | { readonly type: "told"; readonly ended: "completed" | "failed"; readonly text: string; readonly messageID: string }
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
  /** Found again in stored state whose process is gone. */
  | { readonly type: "restarted"; readonly runner: string }
  /** What the process that runs it has written down since. */
  | { readonly type: "reread"; readonly stored: Task }
  | { readonly type: "delivered"; readonly run: number; readonly sessionID: string; readonly messageID: string }
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
}
