import * as z from "zod/mini";
import { goalSetText, goalState } from "../goals/words.ts";
import { record, text } from "../host/raw.ts";
import { resolveCaller, type ToolDependencies } from "./context.ts";
import { described, type Tool } from "./define.ts";

/** Codex's `create_goal`. A conflict is a result, so that a model does not try it again and again. */
export function createGoal(deps: ToolDependencies): Tool {
  return {
    description:
      "Set a goal that this session pursues over several turns until it is met. " +
      "Only when the user explicitly asks for a goal; never for ordinary work.",
    args: { objective: described(z.string(), "What must be true in the end") },
    async execute(args, context) {
      const objective = text(record(args).objective)?.trim();
      if (objective === undefined || objective === "") {
        return 'No goal was set: "objective" is missing. Call create_goal with {"objective": "what must be true in the end"}.';
      }
      const { rootID, isChild } = await resolveCaller(context.sessionID, deps);
      if (isChild)
        return "No goal was set: goals belong to the main session, and this is a sub-agent. Do your own task.";
      const problem = await deps.hostProblem();
      if (problem !== undefined) return `No goal was set: ${problem}. Tell the user that, and do not try again.`;
      const existing = deps.keeper.goal(rootID);
      if (existing?.objective === objective && existing.status !== "complete") {
        return `This goal exists already (${goalState(existing)}). Go on with it.`;
      }
      if (existing !== undefined && existing.status !== "complete") {
        return (
          `No goal was set: this session has another one (${goalState(existing)}): ${existing.objective}\n` +
          `Finish it with update_goal, or ask the user to say /${deps.command} clear. Do not call create_goal again before that.`
        );
      }
      await deps.agents.judge(rootID, context.agent);
      const id = deps.ids.message("");
      deps.keeper.dispatch({ type: "goal", rootID, event: { type: "set", id, objective } });
      return goalSetText(deps.keeper.goal(rootID), deps.keeper.decision(rootID), deps.command);
    },
  };
}
