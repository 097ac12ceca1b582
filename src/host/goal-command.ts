import { excerpt, frame } from "../delivery/frame.ts";
import { type GoalCommand, parseGoalCommand } from "../goals/command.ts";
import type { Goal } from "../goals/goal.ts";
import { continuationText, goalText } from "../goals/prompts.ts";
import { decisionWords, foreignText, goalState, noGoalText, whyText } from "../goals/words.ts";
import { isLive } from "../tasks/task.ts";
import { type Caller, resolveCaller, statusOf, type ToolDependencies } from "../tools/context.ts";
import { type AnswerDependencies, answer, answerFromElsewhere, TOAST_LENGTH } from "./command.ts";

export interface CommandDependencies extends Omit<ToolDependencies, keyof AnswerDependencies>, AnswerDependencies {
  /** With the option `max_task_block_seconds: 0`, `/goal resume` lets the present waits go once. */
  readonly hasCeiling: boolean;
  /** The goals of all sessions of the directory, in words. */
  readonly goals: (sessionID: string) => Promise<string>;
}

/**
 * Acts on `/goal …`.
 *
 * @returns the text that takes the place of the user's message; it starts the first turn of the goal
 * @throws CommandAnswered when the command has been answered and no turn may start
 */
export async function executeGoalCommand(sessionID: string, args: string, deps: CommandDependencies): Promise<string> {
  const command = parseGoalCommand(args, deps.command);
  if (command.type === "show") await showForeign(sessionID, deps);
  const caller = await resolveCaller(sessionID, deps);
  const say = (said: string) => answer(sessionID, { title: "goal", said }, caller, deps);
  if (command.type === "unclear") return say(unclear(command, deps.command));
  if (command.type === "list") return say(await deps.goals(caller.rootID));
  if (command.type === "resume" && deps.runAnswer !== undefined) return resumeInRun(caller, deps, say);
  if (command.type !== "set") return say(act(command, caller, deps));
  if (caller.isChild) return say(`Goals belong to the main session. Say /${deps.command} there.`);
  const replaced = deps.keeper.goal(caller.rootID);
  if (replaced !== undefined && replaced.status !== "complete") {
    const message = `This goal is replaced: ${excerpt(replaced.objective, TOAST_LENGTH)}`;
    await deps.host.toast({ title: "goal", message, variant: "warning" });
  }
  const id = deps.ids.message("");
  deps.keeper.dispatch({ type: "user-speaks", rootID: caller.rootID });
  deps.keeper.dispatch({
    type: "goal",
    rootID: caller.rootID,
    event: { type: "set", id, objective: command.objective, budget: command.budget },
  });
  return frame("goal", id, goalText(command.objective));
}

/** Looking at a goal does not take it away from the process that pursues it. Its session may be busy there. */
async function showForeign(sessionID: string, deps: CommandDependencies): Promise<void> {
  const stored = await deps.loader.foreignRoot(sessionID);
  if (stored?.goal === undefined) return;
  const said = foreignText(stored.goal, stored.owner.pid);
  await answerFromElsewhere(sessionID, { title: "goal", said }, deps);
}

function unclear({ said, problem }: Extract<GoalCommand, { type: "unclear" }>, command: string): string {
  const words = ["status", "why", "list", "edit <objective>", "pause", "resume", "clear"]
    .map((word) => `/${command} ${word}`)
    .join(", ");
  if (problem !== undefined)
    return `Nothing was changed: ${problem}. Say /${command} <objective> [--turns 10] [--tokens 100k] [--minutes 30].`;
  return `"${said}" is no objective, and nothing was changed. Say ${words}, or /${command} <what must be true in the end>.`;
}

function act(
  command: Exclude<GoalCommand, { type: "set" | "unclear" | "list" }>,
  { rootID }: Caller,
  deps: CommandDependencies,
): string {
  const { keeper } = deps;
  const goal = keeper.goal(rootID);
  if (goal === undefined) return noGoalText(deps.command);
  switch (command.type) {
    case "show":
      return statusOf(rootID, deps);
    case "why":
      return whyText(keeper.decisions(rootID), deps.now());
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
      return `Goal paused. /${deps.command} resume goes on.`;
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
  say: (said: string) => Promise<never>,
): string | Promise<never> {
  const { rootID } = caller;
  const wasAsleep = isAsleep(rootID, deps);
  // First of all: nothing of ours may overtake what this returns.
  deps.keeper.dispatch({ type: "user-speaks", rootID });
  if (deps.keeper.goal(rootID) === undefined) return say(noGoalText(deps.command));
  const said = resume(rootID, deps, wasAsleep);
  const goal = deps.keeper.goal(rootID);
  if (goal?.status !== "active") return say(said);
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
  return `Goal resumed: it ${decisionWords(keeper.decision(rootID), now())}.`;
}
