import type { Hooks } from "@opencode-ai/plugin";
import type { TaskManager } from "../library/task-manager.ts";
import type { Options } from "../options.ts";
import { TASKS_COMMAND } from "../tools/tasks-command.ts";
import { COMMAND_TEMPLATE, CommandAnswered } from "./command.ts";
import { type CommandDependencies, executeGoalCommand } from "./goal-command.ts";
import type { HostPort } from "./port.ts";
import { TasksCommandRunner } from "./tasks-command.ts";

export type OwnCommand = "goal" | "tasks";

export interface OwnCommandDependencies extends Omit<CommandDependencies, "hasCeiling" | "hasTools"> {
  readonly options: Options;
  readonly tasks: TaskManager;
}

/** Answers what takes the place of the user's message; throws `CommandAnswered` if no turn may start. */
export type CommandRunner = (command: OwnCommand, sessionID: string, args: string) => Promise<string>;

export function commandRunner(deps: OwnCommandDependencies): CommandRunner {
  const { max_task_block_seconds, tools: families } = deps.options;
  const goal = { ...deps, hasCeiling: max_task_block_seconds > 0, hasTools: families.includes("goal") };
  const tasks = new TasksCommandRunner(deps);
  return (command, sessionID, args) =>
    command === "goal" ? executeGoalCommand(sessionID, args, goal) : tasks.execute(sessionID, args);
}

type Config = Parameters<NonNullable<Hooks["config"]>>[0];

/** The commands of one copy of the plugin, under the names that its options give them. */
export class OwnCommands {
  private readonly registered = new Map<string, OwnCommand>();

  constructor(
    private readonly options: Pick<Options, "command" | "tools">,
    private readonly run: CommandRunner,
    private readonly host: Pick<HostPort, "log" | "toast">,
  ) {}

  /** Registers them. Answers the names that are somebody else's already: these are left alone. */
  register(config: Config): readonly string[] {
    const known = { ...config.command };
    const taken: string[] = [];
    for (const [name, command, description] of this.wanted()) {
      if (known[name] === undefined) {
        known[name] = { template: COMMAND_TEMPLATE, description };
        this.registered.set(name, command);
      } else if (known[name].template !== COMMAND_TEMPLATE) taken.push(name);
    }
    config.command = known;
    return taken;
  }

  /** @throws CommandAnswered when a command of ours has been answered and no turn may start */
  execute: NonNullable<Hooks["command.execute.before"]> = async (input, output) => {
    const command = this.registered.get(input.command);
    if (command === undefined) return;
    try {
      const said = await this.run(command, input.sessionID, input.arguments);
      // In place: the host keeps the array that it handed out. The type wants ids that the host adds itself.
      const part = { type: "text", text: said } as (typeof output.parts)[number];
      output.parts.splice(0, output.parts.length, part);
    } catch (error) {
      if (isAnswered(error)) throw error;
      this.host.log("error", `goalkeeper: the command /${input.command} failed`, { error: describe(error) });
      const message = error instanceof Error ? error.message : String(error);
      await this.host.toast({ title: input.command, message, variant: "error" });
      throw error;
    }
  };

  private wanted(): readonly (readonly [name: string, command: OwnCommand, description: string])[] {
    const { command: name, tools: families } = this.options;
    const goal = `Pursue a goal until it is met: /${name} <objective> | status | why | list | edit | pause | resume | clear`;
    const tasks = `See and end background tasks: /${TASKS_COMMAND} | cancel <number> | cancel all`;
    return [
      [name, "goal", goal],
      ...(families.includes("background") ? [[TASKS_COMMAND, "tasks", tasks] as const] : []),
    ];
  }
}

/** By its name: what a command was handed to may come from another copy of this module. */
function isAnswered(error: unknown): boolean {
  return error instanceof Error && error.name === CommandAnswered.name;
}

export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
