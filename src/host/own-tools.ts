import type { ToolDefinition } from "@opencode-ai/plugin";
import { backgroundCancel } from "../tools/background-cancel.ts";
import { backgroundOutput } from "../tools/background-output.ts";
import { backgroundTask } from "../tools/background-task.ts";
import type { TaskToolDependencies, ToolDependencies } from "../tools/context.ts";
import { createGoal } from "../tools/create-goal.ts";
import type { Tool } from "../tools/define.ts";
import { getGoal } from "../tools/get-goal.ts";
import { updateGoal } from "../tools/update-goal.ts";
import { wasCalled } from "./registry.ts";

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
  return Object.fromEntries(wanted.map(([name, make]) => [name, hostTool(noted(name, make(deps)))]));
}

/** It tells our calls from those that another plugin with a tool of that name has answered. */
function noted(name: string, tool: Tool): Tool {
  return {
    ...tool,
    execute(args, call) {
      wasCalled({ sessionID: call.sessionID, messageID: call.messageID, tool: name });
      return tool.execute(args, call);
    },
  };
}

/**
 * OpenCode reads the part of a schema that zod and `zod/mini` share; the plugin package's type names the other flavour,
 * which takes three times as long to load.
 */
function hostTool(tool: Tool): ToolDefinition {
  return tool as unknown as ToolDefinition;
}

export function isOwnTool(name: string, families: readonly string[]): boolean {
  return Object.entries(FAMILIES).some(([family, made]) => families.includes(family) && Object.hasOwn(made, name));
}

/**
 * Of two plugins that have a tool of the same name the one listed last has it; OpenCode says so to nobody. Before each
 * request it shows all definitions to all plugins, in the order of the list.
 */
export class TakenTools {
  /** By name, whether the definition that was shown last is ours. */
  private readonly shown = new Map<string, boolean>();
  private readonly told = new Set<string>();

  constructor(private readonly own: Readonly<Record<string, Pick<ToolDefinition, "description">>>) {}

  see({ toolID }: { readonly toolID: string }, { description }: { readonly description: string }): void {
    const ours = Object.hasOwn(this.own, toolID) ? this.own[toolID] : undefined;
    if (ours !== undefined) this.shown.set(toolID, description === ours.description);
  }

  /** Names that another plugin has got, and that have not been told yet. */
  news(): readonly string[] {
    const news = [...this.shown].flatMap(([name, isOurs]) => (isOurs || this.told.has(name) ? [] : [name]));
    for (const name of news) this.told.add(name);
    return news;
  }
}

/** What the user can do about tools that another plugin has got. */
export function takenToolsText(names: readonly string[]): string {
  const [are, them] = names.length === 1 ? ["tool", "it"] : ["tools", "them"];
  return (
    `Another plugin has the ${are} ${names.join(", ")}, and the agent gets its and not goalkeeper's. ` +
    `To have ${them}, list goalkeeper behind that plugin; or leave ours out with the option "tools".`
  );
}
