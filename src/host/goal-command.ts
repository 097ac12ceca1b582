import { excerpt, frame } from "../delivery/frame.ts";
import { type GoalCommand, parseGoalCommand } from "../goals/command.ts";
import { unableAgent } from "../goals/gate.ts";
import type { Goal } from "../goals/goal.ts";
import { continuationText, goalText } from "../goals/prompts.ts";
import {
  decisionWords,
  foreignBrief,
  foreignText,
  foreignWhyText,
  goalState,
  noGoalText,
  statusBrief,
  statusText,
  whyBrief,
  whyText,
} from "../goals/words.ts";
import type { StoredRoot } from "../keeper/stored-root.ts";
import { isLive } from "../tasks/task.ts";
import { type Caller, resolveCaller, statusView, type ToolDependencies } from "../tools/context.ts";
import {
  type AnswerDependencies,
  answer,
  answerFromElsewhere,
  type CommandAnswer,
  rootOf,
  TOAST_LENGTH,
} from "./command.ts";

const SAID_LENGTH = 60;

export interface CommandDependencies extends Omit<ToolDependencies, keyof AnswerDependencies>, AnswerDependencies {
  /** With the option `max_task_block_seconds: 0`, `/goal resume` lets the present waits go once. */
  readonly hasCeiling: boolean;
  /** Whether the model has the tools with which it ends a goal. */
  readonly hasTools: boolean;
  /** The goals of all sessions of the directory, in words. */
  readonly goals: (sessionID: string) => Promise<string>;
}

const NO_TOOLS =
  'Nothing was started: the agent ends a goal with its tools, and the option "tools" leaves them out. Add "goal" to it.';

/** An objective is a text: the next continuation has no place for them. */
function filesRefused(command: string): string {
  return `Nothing was changed: an objective is edited with words alone, and what came with it would be lost. Send the file in a message of its own; a new /${command} <objective> keeps what comes with it.`;
}

/**
 * Acts on `/goal …`.
 *
 * @returns the text that takes the place of the user's message; it starts the first turn of the goal
 * @throws CommandAnswered when the command has been answered and no turn may start
 */
export async function executeGoalCommand(sessionID: string, args: string, deps: CommandDependencies): Promise<string> {
  const command = parseGoalCommand(args, deps.command, deps.runAnswer !== undefined);
  const rootID = await rootOf(sessionID, deps);
  const foreign = await foreignHere(command, rootID, deps);
  const look = (found: Omit<CommandAnswer, "title">) =>
    foreign === undefined
      ? answer(sessionID, { title: "goal", ...found }, { rootID }, deps)
      : answerFromElsewhere(sessionID, { title: "goal", ...found }, deps);
  if (command.type === "unclear") return look({ said: unclear(command, deps.command), isRefused: true });
  if (command.type === "set" && rootID !== sessionID)
    return look({ said: `Goals belong to the main session. Say /${deps.command} there.`, isRefused: true });
  if (command.type === "edit" && deps.hasFiles === true)
    return look({ said: filesRefused(deps.command), isRefused: true });
  if (command.type === "set" && !deps.hasTools) return look({ said: NO_TOOLS, isRefused: true });
  const problem = await deps.hostProblem();
  if (problem !== undefined && (command.type === "set" || command.type === "resume"))
    return look({ said: `Nothing was started: ${problem}.`, isRefused: true });
  if (command.type === "list") return look({ said: await deps.goals(rootID) });
  if (foreign !== undefined && (command.type === "show" || command.type === "why"))
    return look(foreignAnswer(command.type, foreign, deps.command));
  const caller = await resolveCaller(sessionID, deps);
  if (command.type === "show" || command.type === "why")
    return answer(
      sessionID,
      { title: "goal", ...withProblem(shown(command.type, caller.rootID, deps), problem) },
      caller,
      deps,
    );
  const say = (said: string, isRefused = false) => answer(sessionID, { title: "goal", said, isRefused }, caller, deps);
  if (command.type === "resume" && deps.runAnswer !== undefined) return resumeInRun(caller, deps, say);
  if (command.type === "resume") await deps.agents.judge(rootID);
  if (command.type !== "set") return say(act(command, caller, deps));
  const replaced = deps.keeper.goal(caller.rootID);
  if (replaced !== undefined && replaced.status !== "complete") {
    const message = `This goal is replaced: ${excerpt(replaced.objective, TOAST_LENGTH)}`;
    await deps.host.toast({ title: "goal", message, variant: "warning" });
  }
  const id = deps.ids.message("");
  // What is found out about the agent needs open books.
  if (deps.keeper.root(rootID) === undefined) deps.keeper.dispatch({ type: "user-speaks", rootID });
  // That of the last message: which one this message is for nobody says before it is stored.
  await deps.agents.judge(rootID);
  const event = { type: "set", id, objective: command.objective, budget: command.budget } as const;
  if (cannotEnd(rootID, deps)) {
    deps.keeper.dispatch({ type: "goal", rootID, event });
    return say(`Nothing was started. ${notGoingOn(rootID, deps)}`, true);
  }
  deps.keeper.dispatch({ type: "user-speaks", rootID });
  deps.keeper.dispatch({ type: "goal", rootID, event });
  return frame("goal", id, goalText(command.objective));
}

function cannotEnd(rootID: string, { keeper }: CommandDependencies): boolean {
  const root = keeper.root(rootID);
  return root !== undefined && unableAgent(root) !== undefined;
}

function notGoingOn(rootID: string, { keeper, command }: CommandDependencies): string {
  const goal = keeper.goal(rootID);
  return goal === undefined ? noGoalText(command) : `The goal is ${goalState(goal)}. /${command} resume goes on.`;
}

/**
 * Looking at a goal does not take it away from the process that pursues it, and what is not understood neither. Every
 * other word is about to move it here, where the user is.
 */
async function foreignHere(
  { type }: GoalCommand,
  rootID: string,
  { loader }: CommandDependencies,
): Promise<StoredRoot | undefined> {
  return type === "pause" || type === "resume" || type === "edit" || type === "clear"
    ? undefined
    : loader.foreignRoot(rootID);
}

function foreignAnswer(
  type: "show" | "why",
  { goal, owner }: StoredRoot,
  command: string,
): Omit<CommandAnswer, "title"> {
  if (goal === undefined) return { said: noGoalText(command) };
  if (type === "why") return { said: foreignWhyText(owner.pid) };
  return { said: foreignText(goal, owner.pid), brief: foreignBrief(goal, owner.pid) };
}

function unclear({ said, problem }: Extract<GoalCommand, { type: "unclear" }>, command: string): string {
  const words = ["status", "why", "list", "edit <objective>", "pause", "resume", "clear"]
    .map((word) => `/${command} ${word}`)
    .join(", ");
  if (problem !== undefined)
    return `Nothing was changed: ${problem}. Say /${command} <objective> [--turns 10] [--tokens 100k] [--minutes 30].`;
  return `"${excerpt(said, SAID_LENGTH)}" is no objective, and nothing was changed. Say ${words}, or /${command} <what must be true in the end>.`;
}

function shown(type: "show" | "why", rootID: string, deps: CommandDependencies): Omit<CommandAnswer, "title"> {
  const { keeper, command, now } = deps;
  const goal = keeper.goal(rootID);
  if (goal === undefined) return { said: noGoalText(command) };
  const [view, log] = [statusView(rootID, goal, deps), keeper.decisions(rootID)];
  return type === "show"
    ? { said: statusText(view), brief: statusBrief(view) }
    : { said: whyText(log, now()), brief: whyBrief(log, now()) };
}

/** First of all: nothing else that is said about goals holds there. */
function withProblem(
  { said, brief }: Omit<CommandAnswer, "title">,
  problem: string | undefined,
): Omit<CommandAnswer, "title"> {
  if (problem === undefined) return { said, ...(brief === undefined ? {} : { brief }) };
  const line = `No goal is pursued here: ${problem}.`;
  return { said: `${line}\n${said}`, ...(brief === undefined ? {} : { brief: `${line}\n${brief}` }) };
}

function act(
  command: Exclude<GoalCommand, { type: "set" | "unclear" | "list" | "show" | "why" }>,
  { rootID }: Caller,
  deps: CommandDependencies,
): string {
  const { keeper } = deps;
  const goal = keeper.goal(rootID);
  if (goal === undefined) return noGoalText(deps.command);
  const goesOn = `/${deps.command} resume goes on.`;
  switch (command.type) {
    case "edit":
      return edit(rootID, goal, command.objective, deps);
    case "pause":
      if (goal.status !== "active" && !(goal.status === "limited" && goal.wrapUp === "owed"))
        return `Nothing to pause: the goal is ${goalState(goal)}.`;
      keeper.dispatch({
        type: "goal",
        rootID,
        event: { type: "pause", by: "user", reason: `you said /${deps.command} pause` },
      });
      // It has no turn left but the one to wrap up, and its limit is what it has stopped at.
      if (goal.status === "limited") return `The goal does not wrap up: it stays ${goalState(goal)}. ${goesOn}`;
      return `Goal paused. ${goesOn}`;
    case "resume":
      return resume(rootID, deps, isAsleep(rootID, deps));
    case "clear":
      keeper.dispatch({ type: "goal", rootID, event: { type: "clear" } });
      return `Goal cleared: ${excerpt(goal.objective, TOAST_LENGTH)}`;
  }
}

/** `opencode run` has one turn: the goal goes on in it. */
function resumeInRun(
  caller: Caller,
  deps: CommandDependencies,
  say: (said: string, isRefused: boolean) => Promise<never>,
): string | Promise<never> {
  const { rootID } = caller;
  const wasAsleep = isAsleep(rootID, deps);
  // First of all: nothing of ours may overtake what this returns.
  deps.keeper.dispatch({ type: "user-speaks", rootID });
  if (deps.keeper.goal(rootID) === undefined) return say(noGoalText(deps.command), true);
  const said = resume(rootID, deps, wasAsleep);
  const goal = deps.keeper.goal(rootID);
  // What is complete is as it should be: a script that goes on with it has nothing to do.
  if (goal?.status !== "active") return say(said, goal?.status !== "complete");
  return frame("goal", deps.ids.message(""), continuationText(goal));
}

/** What the goal has used stays used. The agent reads the new objective in its next continuation. */
function edit(rootID: string, before: Goal, objective: string, { keeper, command }: CommandDependencies): string {
  if (before.status === "complete") return `The goal is complete. Start another with /${command} <objective>.`;
  keeper.dispatch({ type: "goal", rootID, event: { type: "edit", objective } });
  const next = before.status === "active" ? "" : ` It is ${goalState(before)}; /${command} resume goes on.`;
  return `Goal changed: ${excerpt(objective, TOAST_LENGTH)}.${next}`;
}

function isAsleep(rootID: string, { keeper }: Pick<CommandDependencies, "keeper">): boolean {
  return keeper.root(rootID)?.presence.kind === "asleep";
}

/** `wasAsleep`: there were no waits to be let go, whatever starts now. */
function resume(rootID: string, deps: CommandDependencies, wasAsleep: boolean): string {
  const { keeper, hasCeiling, command, now } = deps;
  const goal = keeper.goal(rootID);
  if (goal?.status === "complete") return `The goal is complete. Start another with /${command} <objective>.`;
  keeper.dispatch({ type: "wake", rootID });
  const liveTaskIDs =
    hasCeiling || wasAsleep
      ? []
      : keeper
          .tasks(rootID)
          .filter(isLive)
          .map((task) => task.id);
  keeper.dispatch({ type: "goal", rootID, event: { type: "resume", liveTaskIDs } });
  const after = keeper.goal(rootID);
  if (after?.status === "paused") return `Not resumed: the goal is ${goalState(after)}.`;
  return `Goal resumed: it ${decisionWords(keeper.decision(rootID), now())}.`;
}
