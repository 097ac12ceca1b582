import type { Task } from "../tasks/task.ts";
import { isLive } from "../tasks/task.ts";
import { duration } from "../time/duration.ts";
import type { Decision, StopReason, WaitReason } from "./gate.ts";
import type { Goal } from "./goal.ts";
import type { ReleaseReason } from "./run-hold.ts";

/** Every state and reason in words for people. The only file that has them. */

export function goalState(goal: Goal): string {
  switch (goal.status) {
    case "active":
      return "active";
    case "paused":
      return goal.by === "user" ? "paused by you" : `paused: ${goal.reason}`;
    case "complete":
      return "complete";
    case "blocked":
      return `blocked: ${goal.blocker}`;
    case "limited":
      return `limited: ${goal.limit} used up`;
  }
}

export function waitReason(reason: WaitReason, now: number): string {
  return `${waitWords(reason)} (${"until" in reason ? `at most ${duration(reason.until - now)} more` : "until you act"})`;
}

export function stopReason(reason: StopReason): string {
  switch (reason.why) {
    case "no-goal":
      return "there is no goal";
    case "auto-continue-off":
      return "auto_continue is off";
    case "paused":
      return `the goal is paused by ${reason.by}: ${reason.reason}`;
    case "complete":
      return "the goal is complete";
    case "blocked":
      return `the goal is blocked: ${reason.blocker}`;
    case "limited":
      return `the goal has reached its limit of ${reason.limit}`;
    case "restricted-agent":
      return `the agent "${reason.agent}" does not pursue goals`;
  }
}

export function decisionWords(decision: Decision, now: number): string {
  switch (decision.kind) {
    case "continue":
      return decision.prompt === "wrapup" ? "wraps up" : "continues";
    case "wait":
      return `waits: ${decision.reasons.map((reason) => waitReason(reason, now)).join("; ")}`;
    case "stop":
      return `does not continue: ${stopReason(decision.reason)}`;
  }
}

/** Why the turn of an `opencode run` is let go on; undefined when nothing was waited for. */
export function releaseReason(why: string): string | undefined {
  const words: Readonly<Record<Exclude<ReleaseReason, "nothing-owed">, string>> = {
    failure: "a task has not completed, and the agent is told",
    "goal-continues": "the goal goes on beside the tasks that still work",
    ceiling: "nobody waits any longer for the tasks that still work",
    interrupted: "you interrupted",
  };
  return Object.hasOwn(words, why) ? words[why as keyof typeof words] : undefined;
}

export interface StatusView {
  readonly goal: Goal;
  readonly decision: Decision;
  readonly tasks: readonly Task[];
  readonly now: number;
  /** Name of the command, without its slash. */
  readonly command: string;
  /** 0: no limit. */
  readonly maxTurns: number;
}

/** What `/goal` shows. */
export function statusText({ goal, decision, tasks, now, command, maxTurns }: StatusView): string {
  const live = tasks.filter(isLive);
  const turns = maxTurns === 0 ? `${goal.turns}` : `${goal.turns} of ${maxTurns}`;
  return [
    `Goal: ${goal.objective}`,
    `State: ${goalState(goal)}`,
    `Turns: ${turns} continued, ${duration(now - goal.startedAt)} since the start`,
    ...(decision.kind === "stop" && goal.status !== "active" ? [] : [`Now: ${decisionWords(decision, now)}`]),
    ...(live.length > 0 ? [`Tasks: ${live.map((task) => `${task.title} (${task.status})`).join(", ")}`] : []),
    ...(goal.status === "complete" ? goal.evidence.map(({ claim }) => `Evidence: ${claim}`) : []),
    ...hint(goal, decision, command),
  ].join("\n");
}

export function noGoalText(command: string): string {
  return `No goal in this session. Start one with /${command} <objective>.`;
}

/** What the user can do about a goal that does not go on by itself. */
function hint(goal: Goal, decision: Decision, command: string): readonly string[] {
  const waitsForUser =
    decision.kind === "wait" && decision.reasons.some(({ why }) => why === "quiet" || why === "asleep");
  const hasStopped = goal.status === "paused" || goal.status === "blocked" || goal.status === "limited";
  return waitsForUser || hasStopped ? [`/${command} resume goes on.`] : [];
}

/** What `/goal` shows of a goal that another OpenCode process pursues. */
export function foreignText(goal: Goal, pid: number): string {
  return [
    `Goal: ${goal.objective}`,
    `State: ${goalState(goal)}`,
    `Now: another OpenCode process (${pid}) pursues it; write a message here to go on here`,
  ].join("\n");
}

function waitWords(reason: WaitReason): string {
  switch (reason.why) {
    case "root-busy":
      return "the agent is working";
    case "provider-retries":
      return `the provider is asked again: ${reason.message}`;
    case "task-live":
      return `the task "${reason.title}" is ${reason.status}`;
    case "outcome-untold":
      return `OpenCode is about to report the task "${reason.title}"`;
    case "outcome-unanswered":
      return `the agent has not answered the task "${reason.title}" yet`;
    case "ask-open":
      return `a ${reason.kind} is open in ${reason.sessionID}: ${reason.about}`;
    case "user-message-unanswered":
      return "your message comes first";
    case "back-off":
      return `${reason.failures} failed turn${reason.failures === 1 ? "" : "s"}, trying again`;
    case "quiet":
      return "you interrupted";
    case "asleep":
      return "sleeping since OpenCode was started again";
  }
}
