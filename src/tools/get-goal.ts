import { callsText, countingCalls } from "../goals/evidence.ts";
import { resolveCaller, statusOf, type ToolDependencies } from "./context.ts";
import type { Tool } from "./define.ts";

/** Codex's `get_goal`: what the session pursues, and how it stands. */
export function getGoal(deps: ToolDependencies): Tool {
  return {
    description:
      "Read the goal of this session: objective, state, turns, the background tasks it waits for, and the ids of recent tool calls.",
    args: {},
    async execute(_args, context) {
      const { rootID } = await resolveCaller(context.sessionID, deps);
      const goal = deps.keeper.goal(rootID);
      const status = statusOf(rootID, deps);
      const transcript = goal === undefined ? undefined : await deps.host.transcript(rootID);
      const calls =
        goal === undefined || transcript?.kind !== "known" ? [] : countingCalls(transcript.value, goal.startedAt);
      return [status, callsText(calls)].filter((part) => part !== "").join("\n");
    },
  };
}
