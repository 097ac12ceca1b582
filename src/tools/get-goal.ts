import { resolveCaller, statusOf, type ToolDependencies } from "./context.ts";
import type { Tool } from "./define.ts";

/** Codex's `get_goal`: what the session pursues, and how it stands. */
export function getGoal(deps: ToolDependencies): Tool {
  return {
    description: "Read the goal of this session: objective, state, turns, and the background tasks it waits for.",
    args: {},
    async execute(_args, context) {
      const { rootID } = await resolveCaller(context.sessionID, deps);
      return statusOf(rootID, deps);
    },
  };
}
