import type { ToolDefinition } from "@opencode-ai/plugin";
import { backgroundCancel } from "../tools/background-cancel.ts";
import { backgroundOutput } from "../tools/background-output.ts";
import { backgroundTask } from "../tools/background-task.ts";
import type { TaskToolDependencies, ToolDependencies } from "../tools/context.ts";
import { createGoal } from "../tools/create-goal.ts";
import type { Tool } from "../tools/define.ts";
import { getGoal } from "../tools/get-goal.ts";
import { updateGoal } from "../tools/update-goal.ts";

/** By family, which the option `tools` can leave out: each costs tokens in every request. */
const FAMILIES = {
  goal: { get_goal: getGoal, create_goal: createGoal, update_goal: updateGoal },
  background: {
    background_task: backgroundTask,
    background_output: backgroundOutput,
    background_cancel: backgroundCancel,
  },
};

type Dependencies = ToolDependencies & TaskToolDependencies;

/** The tools of these families, as OpenCode takes them. */
export function ownTools(families: readonly string[], deps: Dependencies): Record<string, ToolDefinition> {
  const wanted = Object.entries(FAMILIES).flatMap(([family, made]): [string, (deps: Dependencies) => Tool][] =>
    families.includes(family) ? Object.entries(made) : [],
  );
  return Object.fromEntries(wanted.map(([name, make]) => [name, hostTool(make(deps))]));
}

/**
 * OpenCode reads the part of a schema that zod and `zod/mini` share; the plugin package's type names the other flavour,
 * which takes three times as long to load.
 */
function hostTool(tool: Tool): ToolDefinition {
  return tool as unknown as ToolDefinition;
}
