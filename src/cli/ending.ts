import type { Goal } from "../goals/goal.ts";
import type { SessionTreeOutcome } from "../session-tree/outcome.ts";
import type { Mode } from "./arguments.ts";
import { isNews } from "./changes.ts";
import type { Ending } from "./events.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { errorWords } from "./words.ts";

export interface Ended {
  readonly exitCode: ExitCode;
  readonly outcome: Ending;
  readonly message: string;
  readonly toGoOn?: string;
}

export interface RunFacts {
  readonly mode: Mode;
  /** Why the work was interrupted from here. */
  readonly stopped: "signal" | "timeout" | undefined;
  /** The goal of the session before this run: one that has not changed is not what this run was about. */
  readonly goalBefore: Goal | undefined;
  /** Whether the last message of the agent ends in the middle: with a tool call that was not followed by anything. */
  readonly unfinished: boolean;
  /** Whether the agent has said anything in this run. */
  readonly hasSpoken: boolean;
  /** What the server has written last, if it was started here. */
  readonly lastWords: string;
}

/** What the end of the tree means for whoever has started the run. Pure. */
export function endingOf(outcome: SessionTreeOutcome, facts: RunFacts): Ended {
  if (facts.stopped === "timeout") return ended("timed-out", "the time is over; the work was interrupted");
  if (facts.stopped === "signal") return ended("interrupted", "interrupted");
  switch (outcome.kind) {
    case "settled":
      return settled(outcome, facts);
    case "failed":
      return ended("failed", `the turn failed: ${errorWords(outcome.error)}`);
    case "interrupted":
      return interrupted(outcome, facts);
    case "deleted":
      return ended("failed", "the session was deleted while it was waited for");
    case "not-found":
      return ended("not-started", "OpenCode has no such session; no prompt was sent");
    case "stream-closed":
      return ended("opencode-gone", `OpenCode went away: ${outcome.reason}${facts.lastWords}`);
    case "timed-out":
      return ended("timed-out", "the time is over");
    case "aborted":
      return ended("interrupted", "interrupted");
  }
}

/** The plugin ends a turn that has used far too much: the goal says so before. */
function interrupted(
  { state: { goal } }: Extract<SessionTreeOutcome, { kind: "interrupted" }>,
  { goalBefore }: RunFacts,
): Ended {
  const isCut = goal?.status === "limited" && goal.wrapUp === "cut" && isNews(goalBefore, goal);
  return isCut ? goalEnded(goal) : ended("interrupted", "the session was interrupted by somebody else");
}

function settled(outcome: Extract<SessionTreeOutcome, { kind: "settled" }>, facts: RunFacts): Ended {
  const { goal } = outcome.state;
  const isOurs = goal !== undefined && isNews(facts.goalBefore, goal);
  if (isOurs) return goalEnded(goal);
  if (facts.mode === "resume") return ended("not-started", `the goal was not resumed: ${notResumed(goal)}`);
  if (facts.mode === "goal")
    return ended("failed", "there is no goal in the session: it was cleared, or /goal is another plugin's command");
  if (!outcome.answered) return ended("unanswered", "the agent has not answered");
  if (facts.unfinished)
    return ended("unanswered", "the turn ended in the middle: a permission or a question was rejected");
  return ended("answered", facts.hasSpoken ? "answered" : "the agent answered nothing");
}

function notResumed(goal: Goal | undefined): string {
  return goal === undefined ? "there is none in the session" : goalEnded(goal).message;
}

/** Whether a goal of this run is left to go on with. One that was there before, and was left alone, is not. */
export function isLeft(
  { exitCode }: Ended,
  goal: Goal | undefined,
  { goalBefore }: Pick<RunFacts, "goalBefore">,
): boolean {
  if (goal === undefined || goal.status === "complete" || !isNews(goalBefore, goal)) return false;
  switch (exitCode) {
    case EXIT.failed:
    case EXIT.blocked:
    case EXIT.limited:
    case EXIT.timedOut:
    case EXIT.interrupted:
      return true;
    case EXIT.done:
    case EXIT.notStarted:
    case EXIT.unread:
      return false;
  }
}

function goalEnded(goal: Goal): Ended {
  switch (goal.status) {
    case "complete":
      return ended("complete", "the goal is complete");
    case "blocked":
      return ended("blocked", `the goal is blocked: ${goal.blocker}`);
    case "limited":
      return ended("limited", `the goal has used up its limit of ${goal.limit}${cutWords(goal.wrapUp)}`);
    case "paused":
      return ended("paused", `the goal is paused: ${goal.reason}`);
    case "active":
      return ended("paused", "the goal is active, and nobody continues it (auto_continue may be off)");
  }
}

function cutWords(wrapUp: (Goal & { readonly status: "limited" })["wrapUp"]): string {
  return wrapUp === "cut" ? " and a quarter more; the turn was ended" : "";
}

const CODES: Readonly<Record<Ending, ExitCode>> = {
  answered: EXIT.done,
  complete: EXIT.done,
  failed: EXIT.failed,
  paused: EXIT.failed,
  unanswered: EXIT.failed,
  "opencode-gone": EXIT.failed,
  "not-started": EXIT.notStarted,
  blocked: EXIT.blocked,
  limited: EXIT.limited,
  "timed-out": EXIT.timedOut,
  interrupted: EXIT.interrupted,
};

export function ended(outcome: Ending, message: string): Ended {
  return { exitCode: CODES[outcome], outcome, message };
}
