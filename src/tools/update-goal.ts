import * as z from "zod/mini";
import { callsText, countingCalls, evidenceProblems } from "../goals/evidence.ts";
import type { Evidence, Goal } from "../goals/goal.ts";
import { goalState } from "../goals/words.ts";
import type { CheckResult } from "../host/completion-check.ts";
import { list, type Raw, record, text } from "../host/raw.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
import { resolveCaller, type ToolDependencies } from "./context.ts";
import { described, type Tool, type ToolCall } from "./define.ts";

const claim = z.object({
  claim: described(z.string(), "What is true now, and how you know"),
  tool_call_ids: z.optional(z.array(z.string())),
});

/** A completion check that is under way. */
interface Running {
  readonly objective: string;
  readonly abort: AbortSignal | undefined;
  readonly result: Promise<CheckResult>;
}

/** Codex's `update_goal`: the model may complete or block. Pause, resume and limits belong to the user. */
export function updateGoal(deps: ToolDependencies): Tool {
  const running = new Map<string, Running>();
  /** Results that the user has seen: calls side by side share one. */
  const shown = new WeakSet<CheckResult>();
  return {
    description:
      'Report on the goal. status "complete" needs evidence: what is true now and how it was checked. ' +
      'status "blocked" needs the blocker: what only the user can solve.',
    args: {
      status: z.enum(["complete", "blocked"]),
      evidence: z.optional(z.array(claim)),
      blocker: z.optional(z.string()),
    },
    async execute(input, context) {
      const args = record(input);
      const { rootID, isChild } = await resolveCaller(context.sessionID, deps);
      if (isChild)
        return "The goal was not changed: it belongs to the main session. Report your result in your last message.";
      const goal = deps.keeper.goal(rootID);
      if (goal === undefined) return "There is no goal in this session. Nothing was changed.";
      switch (args.status) {
        case "complete":
          return complete(deps, rootID, goal, args, () => checked(deps, goal, context, running), shown);
        case "blocked":
          return blocked(deps, rootID, goal, args);
        default:
          return `The goal was not changed: "status" must be "complete" or "blocked". It is ${goalState(goal)}.`;
      }
    },
  };
}

async function complete(
  deps: ToolDependencies,
  rootID: string,
  goal: Goal,
  args: Raw,
  check: () => Promise<CheckResult | undefined>,
  shown: WeakSet<CheckResult>,
): Promise<string> {
  if (goal.status === "complete") return "The goal is complete already.";
  const evidence = readEvidence(args.evidence);
  const missing = whatIsMissing(deps, rootID, goal, evidence) ?? (await whatIsWrong(deps, rootID, goal, evidence));
  if (missing !== undefined) return missing;
  const result = await check();
  // The user may have changed or cleared it while the check ran, and a task may have been launched.
  const now = deps.keeper.goal(rootID);
  const happened = whatHappened(goal, now);
  if (now === undefined || happened !== undefined) return `Not complete: ${happened}.`;
  if (now.status === "complete") return "The goal is complete already.";
  if (result?.kind === "failed") {
    // What the model reads as an answer nobody sees who looks on.
    const message = `Not complete yet: the completion check ${result.how}. The agent was told.`;
    if (!shown.has(result)) void deps.host.toast({ title: "goal", message, variant: "warning" });
    shown.add(result);
    const output = result.output === "" ? " It has printed nothing." : `\n<output>\n${result.output}\n</output>`;
    return `Not complete yet: the user's completion check ${result.how}.${output}`;
  }
  const opened = whatIsMissing(deps, rootID, now, evidence);
  if (opened !== undefined) return opened;
  deps.keeper.dispatch({ type: "goal", rootID, event: { type: "complete", evidence } });
  return "The goal is complete. Tell the user in a few lines what was done.";
}

/** Calls that a model makes side by side are answered by one run of the check. */
function checked(
  { check }: ToolDependencies,
  { id, objective }: Goal,
  { abort }: ToolCall,
  running: Map<string, Running>,
): Promise<CheckResult | undefined> {
  if (check === undefined) return Promise.resolve(undefined);
  const other = running.get(id);
  if (other?.objective === objective && other.abort?.aborted !== true) return other.result;
  const mine: Running = {
    objective,
    abort,
    result: check(abort).finally(() => running.get(id) === mine && running.delete(id)),
  };
  running.set(id, mine);
  return mine.result;
}

/**
 * What the user has done to a goal meanwhile that forbids to complete it. A limit that is reached does not: its wrap-up
 * may complete it, too.
 */
function whatHappened(before: Goal, now: Goal | undefined): string | undefined {
  if (now === undefined) return "the goal was cleared meanwhile";
  if (now.id !== before.id) return "another goal was set meanwhile. Read it with get_goal";
  if (now.objective !== before.objective) return "its objective was changed meanwhile. Read it with get_goal";
  if (now.status === before.status || (now.status !== "paused" && now.status !== "blocked")) return undefined;
  if (now.status === "paused" && now.by === "user") return "the user has paused the goal meanwhile";
  return `the goal is ${goalState(now)} meanwhile`;
}

function whatIsMissing(
  { keeper }: ToolDependencies,
  rootID: string,
  goal: Goal,
  evidence: readonly Evidence[],
): string | undefined {
  if (evidence.length === 0) {
    return 'Not complete yet: "evidence" is missing. Give a list like [{"claim": "npm test passes: 42 passed, 0 failed"}].';
  }
  const open = keeper.tasks(rootID).filter((task) => isOpen(task, goal));
  if (open.length === 0) return undefined;
  const names = open.map(
    (task) => `"${task.title}" (${task.id}): ${isLive(task) ? task.status : "its result comes next"}`,
  );
  return `Not complete yet: background tasks are open. End your turn; you are continued when they have ended.\n${names.join("\n")}`;
}

/** Evidence need not name tool calls; those that it names must count. */
async function whatIsWrong(
  { host }: ToolDependencies,
  rootID: string,
  goal: Goal,
  evidence: readonly Evidence[],
): Promise<string | undefined> {
  if (evidence.every(({ tool_call_ids: ids = [] }) => ids.length === 0)) return undefined;
  const transcript = await host.transcript(rootID);
  if (transcript.kind !== "known")
    return "Not complete yet: OpenCode did not show the tool calls that the evidence names. Call update_goal again.";
  const problems = evidenceProblems(evidence, transcript.value, goal.startedAt);
  if (problems.length === 0) return undefined;
  const calls = callsText(countingCalls(transcript.value, goal.startedAt));
  const known = calls === "" ? "No tool call has succeeded since the goal began." : calls;
  return `Not complete yet: the evidence names tool calls that do not count.\n${problems.join("\n")}\n${known}`;
}

function blocked({ keeper, command }: ToolDependencies, rootID: string, goal: Goal, args: Raw): string {
  const blocker = text(args.blocker)?.trim();
  if (blocker === undefined || blocker === "") {
    return 'The goal was not changed: "blocker" is missing. Say what exactly you need from the user.';
  }
  if (goal.status !== "active") return `The goal was not changed: it is ${goalState(goal)}.`;
  keeper.dispatch({ type: "goal", rootID, event: { type: "blocked", blocker } });
  return `The goal is blocked. Tell the user what you need; /${command} resume goes on.`;
}

/** Tasks somebody else made are not this goal's, and one past its ceiling has let go once already. */
function isOpen(task: Task, goal: Goal): boolean {
  if (task.origin === "adopted" || goal.releases[task.id] !== undefined) return false;
  return isEnded(task) ? task.status !== "lost" && task.delivery.state === "pending" : true;
}

function readEvidence(value: unknown): readonly Evidence[] {
  // Models also give one claim without the list around it.
  const items = typeof value === "string" || !Array.isArray(value) ? [value] : value;
  return items.flatMap((item) => {
    const said = text(item) ?? text(record(item).claim);
    if (said === undefined || said.trim() === "") return [];
    const ids = list(record(item).tool_call_ids).flatMap((id) => text(id) ?? []);
    return [{ claim: said.trim(), ...(ids.length === 0 ? {} : { tool_call_ids: ids }) }];
  });
}
