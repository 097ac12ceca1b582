import { excerpt } from "../delivery/frame.ts";
import type { Task } from "../tasks/task.ts";
import { isLive } from "../tasks/task.ts";
import { duration } from "../time/duration.ts";
import { type Budget, budgetOf, shortNumber } from "./budget.ts";
import type { Decision, StopReason, WaitReason } from "./gate.ts";
import type { Goal, PausedBy } from "./goal.ts";
import type { ReleaseReason } from "./run-hold.ts";

/** Every state and reason in words for people. The only file that has them. */

/** Of what a model or a provider has said, on the line that a toast or a list has for it. */
const REASON_LENGTH = 200;
const OBJECTIVE_LENGTH = 100;
/** Of what is said on one of the few lines of a toast, and how many of them there are for a list. */
const BRIEF_LENGTH = 90;
const MOST_BRIEF = 3;
const NOW_LENGTH = 150;

export function goalState(goal: Goal): string {
  return stateWords(goal, (said) => excerpt(said, REASON_LENGTH));
}

function stateWords(goal: Goal, shown: (said: string) => string): string {
  switch (goal.status) {
    case "active":
      return "active";
    case "paused":
      return goal.by === "user" ? "paused by you" : `paused: ${shown(goal.reason)}${first(goal.by)}`;
    case "complete":
      return "complete";
    case "blocked":
      return `blocked: ${shown(goal.blocker)}`;
    case "limited":
      return `limited: ${goal.limit} used up${goal.wrapUp === "cut" ? " and a quarter more; the turn was ended" : ""}`;
  }
}

/** What must be done before it can go on. The agent is that of the last message: it pauses a goal again at once. */
function first(by: PausedBy): string {
  if (by === "unable-agent") return " (allow that, or switch the agent and write a message, first)";
  return by === "restricted-agent" ? " (switch the agent and write a message first)" : "";
}

/** Why a goal is paused whose agent has called a tool of ours, and another plugin has answered. */
export function takenToolReason(tool: string): string {
  return `another plugin has answered "${tool}": list goalkeeper behind it, or leave ours out with the option "tools"`;
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
      return `the goal has reached its limit of ${reason.limit}${reason.isCut ? ", and the turn that went a quarter beyond it was ended" : ""}`;
    case "restricted-agent":
      return `the agent "${reason.agent}" does not pursue goals`;
    case "unable-agent":
      return reason.lacks === "steps"
        ? `the agent "${reason.agent}" has only one step (steps: 1), in which it can call no tool`
        : `the agent "${reason.agent}" may not call ${reason.lacks}, with which it would end the goal`;
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
  /** For what was not said with the goal. */
  readonly limits: Budget;
}

/** What `/goal` shows. */
export function statusText(view: StatusView): string {
  const { goal, decision, tasks, command } = view;
  const live = tasks.filter(isLive);
  return [
    `Goal: ${goal.objective}`,
    `State: ${stateWords(goal, (said) => said)}`,
    turnsLine(view),
    tokensLine(view),
    timeLine(view),
    ...nowLine(view),
    ...(live.length > 0 ? [`Tasks: ${live.map((task) => `${task.title} (${task.status})`).join(", ")}`] : []),
    ...(goal.status === "complete" ? goal.evidence.map(({ claim }) => `Evidence: ${claim}`) : []),
    ...hint(goal, decision, command),
  ].join("\n");
}

/** The same for a toast, which has a few lines: what it does comes first, and above all what only the user ends. */
export function statusBrief(view: StatusView): string {
  const { goal, command } = view;
  const decision = usersFirst(view.decision);
  return [
    `State: ${stateWords(goal, (said) => excerpt(said, BRIEF_LENGTH))}`,
    ...nowLine({ ...view, decision }).map((line) => excerpt(line, NOW_LENGTH)),
    turnsLine(view),
    tokensLine(view),
    ...hint(goal, decision, command),
    `Goal: ${excerpt(goal.objective, BRIEF_LENGTH)}`,
  ].join("\n");
}

function usersFirst(decision: Decision): Decision {
  if (decision.kind !== "wait") return decision;
  const rank = (reason: WaitReason): number => ("endedBy" in reason ? 0 : 1);
  return { ...decision, reasons: [...decision.reasons].sort((one, other) => rank(one) - rank(other)) };
}

function turnsLine({ goal, limits }: StatusView): string {
  return `Turns: ${goal.turns}${outOf(budgetOf(goal, limits).turns, String)} continued`;
}

function tokensLine({ goal, limits }: StatusView): string {
  const { own, tasks } = goal.tokens;
  const apart = tasks === 0 ? "" : ` (${shortNumber(own)} here, ${shortNumber(tasks)} in tasks)`;
  return `Tokens: ${shortNumber(own + tasks)}${outOf(budgetOf(goal, limits).tokens, shortNumber)}${apart}`;
}

/** The clock of a goal that has stopped stands still; what wraps up has not stopped yet. */
function timeLine({ goal, decision, limits, now }: StatusView): string {
  const { ms } = budgetOf(goal, limits);
  const isFirst = goal.allowedAt <= goal.startedAt;
  const end = goal.status === "active" ? now : goal.at;
  const resumed = isFirst ? "" : `, ${duration(end - goal.allowedAt)}${outOf(ms, duration)} since it was resumed`;
  const isStopped = goal.status !== "active" && decision.kind === "stop";
  const stopped = isStopped ? `; it stopped ${duration(now - end)} ago` : "";
  return `Time: ${duration(end - goal.startedAt)}${isFirst ? outOf(ms, duration) : ""} since the start${resumed}${stopped}`;
}

/** That a goal which has stopped does not go on, its state says already. */
function nowLine({ goal, decision, now }: StatusView): readonly string[] {
  if (decision.kind === "stop" && goal.status !== "active") return [];
  return [`Now: ${decisionWords(decision, now)}`];
}

function outOf(limit: number, shown: (limit: number) => string): string {
  return limit === 0 ? "" : ` of ${shown(limit)}`;
}

/** What the gate has decided, and when. */
export interface Decided {
  readonly at: number;
  readonly decision: Decision;
}

/** What `/goal why` shows: the last decisions, the newest last. A decision holds until the next one. */
export function whyText(log: readonly Decided[], now: number): string {
  if (log.length === 0) return NOTHING_DECIDED;
  return ["What was decided about the goal, and when:", ...log.map((decided) => decidedLine(decided, now))].join("\n");
}

/** The same for a toast: what was decided last, the newest first. */
export function whyBrief(log: readonly Decided[], now: number): string {
  if (log.length === 0) return NOTHING_DECIDED;
  const last = log.slice(-MOST_BRIEF).reverse();
  return last.map((decided) => excerpt(decidedLine(decided, now), BRIEF_LENGTH)).join("\n");
}

const NOTHING_DECIDED = "Nothing was decided yet.";

function decidedLine({ at, decision }: Decided, now: number): string {
  return `${duration(now - at)} ago: it ${decisionWords(decision, at)}`;
}

export interface ListedGoal {
  readonly sessionID: string;
  readonly title: string;
  readonly goal: Goal;
  /** Where the goal stands: here, in a process that works, or nowhere since its process has ended. */
  readonly kept: "here" | "elsewhere" | "asleep";
}

/** What `/goal list` shows. */
export function listText(goals: readonly ListedGoal[], sessionID: string): string {
  if (goals.length === 0) return "No session has a goal.";
  const lines = goals.map(({ sessionID: id, title, goal, kept }) => {
    const where = id === sessionID ? ", this session" : kept === "elsewhere" ? ", in another OpenCode" : "";
    const sleeps = kept === "asleep" && goal.status === "active" ? ", asleep" : "";
    return `- ${goalState(goal)}${sleeps}: ${excerpt(goal.objective, 100)} (${excerpt(title, 40)}, ${id}${where})`;
  });
  return [`${goals.length} session${goals.length === 1 ? " has" : "s have"} a goal:`, ...lines].join("\n");
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
  return foreignLines(
    goal.objective,
    stateWords(goal, (said) => said),
    pid,
  );
}

/** The same for a toast, which has a few lines. */
export function foreignBrief(goal: Goal, pid: number): string {
  const state = stateWords(goal, (said) => excerpt(said, OBJECTIVE_LENGTH));
  return foreignLines(excerpt(goal.objective, OBJECTIVE_LENGTH), state, pid);
}

function foreignLines(objective: string, state: string, pid: number): string {
  const now = `another OpenCode process (${pid}) pursues it; write a message here to go on here`;
  return [`Goal: ${objective}`, `State: ${state}`, `Now: ${now}`].join("\n");
}

/** What `/goal why` shows of it: what was decided is known where that was done. */
export function foreignWhyText(pid: number): string {
  return `Another OpenCode process (${pid}) pursues the goal: say this there. Write a message here to go on here.`;
}

/** What `create_goal` answers: whether the goal that was set goes on by itself. */
export function goalSetText(goal: Goal | undefined, decision: Decision, command: string): string {
  if (goal !== undefined && goal.status !== "active")
    return `The goal is set, but it is ${goalState(goal)}. You are not continued: do not begin with it. Tell the user that, and that then /${command} resume goes on.`;
  if (decision.kind === "stop")
    return `The goal is set. Work towards it in this turn; you are not continued after it: ${stopReason(decision.reason)}. Report with update_goal.`;
  return "The goal is set. Work towards it; you are continued turn after turn. Report with update_goal.";
}

/** What the user can do about an undo, and what comes of it. */
export const AFTER_UNDO = "with the next message they are gone for good, and /redo takes them back";

function waitWords(reason: WaitReason): string {
  switch (reason.why) {
    case "root-busy":
      return "the agent is working";
    case "provider-retries":
      return `the provider is asked again: ${reason.message}`;
    case "task-live":
      return `the task "${reason.title}" is ${reason.status}`;
    case "outcome-untold":
      return `how the task "${reason.title}" ended is about to be told`;
    case "outcome-unanswered":
      return `the agent has not answered the task "${reason.title}" yet`;
    case "ask-open":
      return `a ${reason.kind} is open in ${reason.title === undefined ? "this session" : `"${reason.title}"`}: ${reason.about}`;
    case "undone":
      return `messages are undone ${reason.title === undefined ? "here" : `in "${reason.title}"`}; ${AFTER_UNDO}`;
    case "user-message-unanswered":
      return "your message comes first";
    case "usage-limit":
      return "the provider's usage limit is reached";
    case "back-off":
      return `${reason.failures} failed turn${reason.failures === 1 ? "" : "s"}, trying again`;
    case "quiet":
      return "you interrupted";
    case "asleep":
      return "sleeping since OpenCode was started again";
  }
}
