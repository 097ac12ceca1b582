import type { TurnError } from "../host/port.ts";
import { owedOf } from "./owed.ts";
import { type SessionTreeState, stateOf } from "./state.ts";
import { isInterrupted, type Tree } from "./tree.ts";

/**
 * How a wait for a session tree has ended. `settled`, `failed` and `interrupted`: the root is idle and nothing below it
 * is owed; of the others nobody knows. `state` is the last that was seen.
 */
export type SessionTreeOutcome = {
  readonly state: SessionTreeState;
} /** `answered`: false when the last message in the root has not got an answer, e.g. because it was stored too late. */ & (
  | { readonly kind: "settled"; readonly answered: boolean }
  /** The root's last turn ended with an error. */
  | { readonly kind: "failed"; readonly error: TurnError }
  /** The root's last turn was aborted: by the user, by another client, by the plugin at 125 % of a budget, or because OpenCode closed the directory. */
  | { readonly kind: "interrupted" }
  | { readonly kind: "deleted" }
  /** OpenCode has no such session. */
  | { readonly kind: "not-found" }
  /** The event stream has ended, and OpenCode does not answer any more. */
  | { readonly kind: "stream-closed"; readonly reason: string }
  | { readonly kind: "timed-out"; readonly timeoutMs: number }
  /** The caller's `signal` was aborted. Nothing was done to the sessions. */
  | { readonly kind: "aborted" }
);

/**
 * An idle of the root proves nothing by itself: an error publishes a second one up to 270 ms later, and a continuation
 * follows it. Rest is believed when it has lasted this long and OpenCode, asked again, says the same.
 */
export const QUIET_MS = 500;
/** The same where OpenCode has just started, or has much to do: a prompt that was sent may take longer to be seen. */
export const SLOW_QUIET_MS = 3_000;

export type Verdict = { readonly kind: "works" } | { readonly kind: "rests"; readonly outcome: SessionTreeOutcome };

/** Whether anything is still to come, by what is known now; and how it would have ended, if not. */
export function judge(tree: Tree, now: number): Verdict {
  const owed = owedOf(tree, now);
  const state = stateOf(tree, now, owed);
  if (tree.deleted) return { kind: "rests", outcome: { kind: "deleted", state } };
  if (!state.rootIsIdle || owed.length > 0) return { kind: "works" };
  if (isInterrupted(tree)) return { kind: "rests", outcome: { kind: "interrupted", state } };
  if (tree.failure !== undefined)
    return { kind: "rests", outcome: { kind: "failed", error: tree.failure.error, state } };
  const root = tree.nodes.get(tree.rootID);
  const answered = root !== undefined && root.answered !== "" && root.answered >= root.asked;
  return { kind: "rests", outcome: { kind: "settled", answered, state } };
}
