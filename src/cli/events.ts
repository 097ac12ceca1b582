import type { Goal } from "../goals/goal.ts";
import type { SessionTreeOwed } from "../session-tree/owed.ts";
import type { ExitCode } from "./exit-codes.ts";

/** What a run reports while it works: with `--format json` one of them per line, with `at` (epoch ms) besides. */
export type RunEvent =
  /** The session is there; the prompt goes out now. */
  | { readonly type: "started"; readonly sessionID: string; readonly server: string; readonly goal: boolean }
  /** A text of the agent's is complete. */
  | { readonly type: "text"; readonly sessionID: string; readonly messageID: string; readonly text: string }
  /** The session, or one below it, has begun or ended to work. `parentID` is absent for the session itself. */
  | {
      readonly type: "session";
      readonly sessionID: string;
      readonly parentID?: string;
      readonly title: string;
      readonly status: "busy" | "idle" | "retrying" | "deleted";
    }
  /** A task has ended, by what is written down about it. Comes again when it is resumed, and ends again. */
  | {
      readonly type: "task";
      readonly sessionID: string;
      readonly title: string;
      readonly status: "completed" | "failed" | "cancelled" | "lost";
      /** The error, or why it ended. Not for completed ones. */
      readonly reason?: string;
    }
  /** The goal has begun, was continued, or has ended. `detail`: why it was paused, is blocked or limited. */
  | {
      readonly type: "goal";
      readonly status: Goal["status"];
      readonly objective: string;
      readonly turns: number;
      readonly detail?: string;
    }
  /** The session has been idle for a second, and this is still to come; an empty list means that it is over. */
  | { readonly type: "waiting"; readonly for: readonly SessionTreeOwed[] }
  /** A question or a permission request was answered here, for there is nobody to ask. */
  | {
      readonly type: "asked";
      readonly kind: "permission" | "question";
      readonly sessionID: string;
      readonly about: string;
      readonly answer: "approved" | "rejected";
    }
  /** The agent is being interrupted. */
  | { readonly type: "interrupting"; readonly because: "signal" | "timeout" }
  /** Always the last one. `message` says why, in words. */
  | {
      readonly type: "ended";
      readonly exitCode: ExitCode;
      readonly outcome: Ending;
      readonly message: string;
      readonly sessionID?: string;
      /** A goal is not complete: the command that goes on with it. */
      readonly toGoOn?: string;
    };

export type Ending =
  | "answered"
  | "complete"
  | "failed"
  | "blocked"
  | "limited"
  | "paused"
  | "unanswered"
  | "opencode-gone"
  | "not-started"
  | "timed-out"
  | "interrupted";
