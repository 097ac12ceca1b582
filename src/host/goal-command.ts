import { excerpt, frame } from "../delivery/frame.ts";
import { type GoalCommand, parseGoalCommand } from "../goals/command.ts";
import { goalText } from "../goals/prompts.ts";
import { decisionWords, foreignText, goalState, noGoalText } from "../goals/words.ts";
import { isLive } from "../tasks/task.ts";
import { type Caller, resolveCaller, statusOf, type ToolDependencies } from "../tools/context.ts";
import type { Loader } from "./loader.ts";
import type { HostPort } from "./port.ts";

/**
 * The template of the command. OpenCode expands it before any hook runs: `` !`cmd` `` in the user's words would be
 * executed and `@file` read. A placeholder for an argument that nobody gives swallows them; the hook gets them raw.
 */
export const COMMAND_TEMPLATE = `goal $${Number.MAX_SAFE_INTEGER}`;

/** A toast is a few lines; the whole is in `/goal status`. */
const TOAST_LENGTH = 300;

/**
 * Thrown on purpose from `command.execute.before`: the answer is shown already, and no turn may start. OpenCode
 * publishes nothing for it and leaves a running turn alone.
 */
export class CommandAnswered extends Error {
  override readonly name = "CommandAnswered";

  constructor() {
    // OpenCode logs it as an error; what was answered is nobody's business there.
    super("goalkeeper has answered the command; no turn starts");
  }
}

export interface CommandDependencies extends ToolDependencies {
  readonly host: HostPort;
  readonly loader: Pick<Loader, "ensure" | "foreignRoot">;
  /** With the option `max_task_block_seconds: 0`, `/goal resume` lets the present waits go once. */
  readonly hasCeiling: boolean;
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
  if (command.type === "unclear") return answer(sessionID, unclear(command.said, deps.command), caller, deps);
  if (command.type !== "set") return answer(sessionID, act(command, caller, deps), caller, deps);
  if (caller.isChild)
    return answer(sessionID, `Goals belong to the main session. Say /${deps.command} there.`, caller, deps);
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
    event: { type: "set", id, objective: command.objective },
  });
  return frame("goal", id, goalText(command.objective));
}

/** Looking at a goal does not take it away from the process that pursues it. Its session may be busy there. */
async function showForeign(sessionID: string, { loader, host }: CommandDependencies): Promise<void> {
  const stored = await loader.foreignRoot(sessionID);
  if (stored?.goal === undefined) return;
  const said = foreignText(stored.goal, stored.owner.pid);
  await host.toast({ title: "goal", message: said, variant: "info" });
  throw new CommandAnswered();
}

function unclear(said: string, command: string): string {
  const words = ["status", "pause", "resume", "clear"].map((word) => `/${command} ${word}`).join(", ");
  return `"${said}" is no objective, and nothing was changed. Say ${words}, or /${command} <what must be true in the end>.`;
}

function act(
  command: Exclude<GoalCommand, { type: "set" | "unclear" }>,
  { rootID }: Caller,
  deps: CommandDependencies,
): string {
  const { keeper } = deps;
  const goal = keeper.goal(rootID);
  if (goal === undefined) return noGoalText(deps.command);
  switch (command.type) {
    case "show":
      return statusOf(rootID, deps);
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
      return resume(rootID, deps);
    case "clear":
      keeper.dispatch({ type: "goal", rootID, event: { type: "clear" } });
      return `Goal cleared: ${excerpt(goal.objective, TOAST_LENGTH)}`;
  }
}

function resume(rootID: string, { keeper, hasCeiling, command, now }: CommandDependencies): string {
  const goal = keeper.goal(rootID);
  if (goal?.status === "complete") return `The goal is complete. Start another with /${command} <objective>.`;
  const wasAsleep = keeper.root(rootID)?.presence.kind === "asleep";
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

/**
 * Shows an answer. On a session that works, or is about to, even an ignored text costs a model request: there a toast
 * has to do.
 */
async function answer(
  sessionID: string,
  said: string,
  { rootID }: Caller,
  { keeper, host, ids }: CommandDependencies,
): Promise<never> {
  const statuses = await host.statuses();
  const isIdle = statuses.kind === "known" && !statuses.value.has(sessionID) && !keeper.isSending(rootID);
  if (isIdle) await host.show(sessionID, frame("answer", ids.message(""), said), keeper.root(sessionID)?.voice);
  const [firstLine = said] = said.split("\n");
  await host.toast({ title: "goal", message: excerpt(isIdle ? firstLine : said, TOAST_LENGTH), variant: "info" });
  throw new CommandAnswered();
}
