import type { Budget } from "../goals/budget.ts";
import type { Goal } from "../goals/goal.ts";
import { noGoalText, type StatusView, statusText } from "../goals/words.ts";
import type { AgentJudge } from "../host/agent-judge.ts";
import type { CheckResult } from "../host/completion-check.ts";
import type { Loader } from "../host/loader.ts";
import type { HostPort } from "../host/port.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { TaskManager } from "../library/task-manager.ts";
import type { EndedTask } from "../tasks/task.ts";
import type { ToolCall } from "./define.ts";

/** What the goal tools need: the books, and the way from a session to its root. */
export interface ToolDependencies {
  readonly keeper: Keeper;
  readonly loader: Pick<Loader, "ensure">;
  readonly host: Pick<HostPort, "session" | "transcript" | "toast">;
  /** Why no goal can be pursued on this version of OpenCode; undefined: nothing is known against it. */
  readonly hostProblem: () => Promise<string | undefined>;
  readonly agents: Pick<AgentJudge, "judge">;
  /** The user's own definition of done; undefined: there is none. */
  readonly check?: ((signal: AbortSignal | undefined) => Promise<CheckResult>) | undefined;
  readonly ids: { message(after: string): string };
  readonly now: () => number;
  /** Name of the command, as people have to type it. */
  readonly command: string;
  /** Of a goal with which nothing else was said. */
  readonly limits: Budget;
}

/** What the tools for background tasks need. */
export interface TaskToolDependencies extends Pick<ToolDependencies, "keeper" | "loader" | "now"> {
  readonly host: Pick<HostPort, "session">;
  readonly tasks: TaskManager;
}

/** What `get_goal` shows, as `/goal` does. */
export function statusOf(rootID: string, deps: ToolDependencies): string {
  const goal = deps.keeper.goal(rootID);
  return goal === undefined ? noGoalText(deps.command) : statusText(statusView(rootID, goal, deps));
}

/** What is shown of a goal. */
export function statusView(
  rootID: string,
  goal: Goal,
  { keeper, now, command, limits }: Pick<ToolDependencies, "keeper" | "now" | "command" | "limits">,
): StatusView {
  return { goal, decision: keeper.decision(rootID), tasks: keeper.tasks(rootID), now: now(), command, limits };
}

export interface Caller {
  readonly rootID: string;
  /** A child may read the goal of its root and not change it. */
  readonly isChild: boolean;
}

/** Longer chains of parents are taken for a cycle. */
const DEEPEST_CHAIN = 64;

/** OpenCode did not answer, so nobody knows whose goal it would be. */
export class HostSilentError extends Error {
  override readonly name = "HostSilentError";

  constructor(reason: string) {
    super(`OpenCode did not answer (${reason}). Nothing was changed; try again.`);
  }
}

/**
 * Finds the root above a session, asking the host where the books do not know it, and loads its stored state.
 *
 * @throws HostSilentError when the host does not answer
 */
export async function resolveCaller(
  sessionID: string,
  { keeper, loader, host }: Pick<TaskToolDependencies, "keeper" | "loader" | "host">,
): Promise<Caller> {
  const known = keeper.manager.tree.rootOf(sessionID);
  const rootID = known ?? (await askRoot(sessionID, host));
  await loader.ensure(rootID);
  return { rootID, isChild: rootID !== sessionID };
}

/** The result of a call tells how a task ended, unless the user has aborted the turn: then OpenCode drops the result. */
export function handOver(tasks: TaskManager, task: EndedTask, call: ToolCall): void {
  if (call.abort?.aborted !== true) tasks.handedOver(task, call);
}

/** Whether a task is below a session, as far as the books know. */
export function isBelow(taskID: string, sessionID: string, { keeper }: Pick<ToolDependencies, "keeper">): boolean {
  const { manager } = keeper;
  let current: string | undefined = taskID;
  for (let depth = 0; current !== undefined && depth < DEEPEST_CHAIN; depth++) {
    current = manager.get(current)?.parentID ?? manager.tree.get(current)?.parentID;
    if (current === sessionID) return true;
  }
  return false;
}

/** @throws HostSilentError when the host does not answer */
export async function askRoot(sessionID: string, host: Pick<HostPort, "session">): Promise<string> {
  let current = sessionID;
  for (let depth = 0; depth < DEEPEST_CHAIN; depth++) {
    const session = await host.session(current);
    if (session.kind === "unknown") throw new HostSilentError(session.reason);
    if (session.kind === "gone" || session.value.parentID === undefined) return current;
    current = session.value.parentID;
  }
  return current;
}
