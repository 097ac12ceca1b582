import type { Hooks } from "@opencode-ai/plugin";
import type { TaskManager } from "../library/task-manager.ts";
import type { Options } from "../options.ts";
import { TASKS_COMMAND } from "../tools/tasks-command.ts";
import { COMMAND_TEMPLATE, CommandAnswered } from "./command.ts";
import { type CommandDependencies, executeGoalCommand } from "./goal-command.ts";
import type { HostPort } from "./port.ts";
import { TasksCommandRunner } from "./tasks-command.ts";

export type OwnCommand = "goal" | "tasks";

export interface OwnCommandDependencies extends Omit<CommandDependencies, "hasCeiling" | "hasTools" | "hasFiles"> {
  readonly options: Options;
  readonly tasks: TaskManager;
}

/**
 * Answers what takes the place of the user's words; throws `CommandAnswered` if no turn may start. `hasFiles`: something
 * came with them.
 */
export type CommandRunner = (
  command: OwnCommand,
  sessionID: string,
  args: string,
  hasFiles: boolean,
) => Promise<string>;

export function commandRunner(deps: OwnCommandDependencies): CommandRunner {
  const { max_task_block_seconds, tools: families } = deps.options;
  const goal = { ...deps, hasCeiling: max_task_block_seconds > 0, hasTools: families.includes("goal") };
  const tasks = new TasksCommandRunner(deps);
  return (command, sessionID, args, hasFiles) =>
    command === "goal"
      ? executeGoalCommand(sessionID, args, { ...goal, hasFiles })
      : tasks.execute(sessionID, args, hasFiles);
}

type Config = Parameters<NonNullable<Hooks["config"]>>[0];

/** The commands of one copy of the plugin, under the names that its options give them. */
export class OwnCommands {
  private readonly registered = new Map<string, OwnCommand>();
  /** As all plugins see it, and change it in turn. */
  private config: Config = {};

  constructor(
    private readonly options: Pick<Options, "command" | "tools">,
    private readonly run: CommandRunner,
    private readonly host: Pick<HostPort, "log" | "toast">,
  ) {}

  /** Registers them. A name that is somebody else's already is left alone. */
  register(config: Config): void {
    const known = { ...config.command };
    for (const [name, command, description] of this.wanted()) {
      if (known[name] !== undefined) continue;
      known[name] = { template: COMMAND_TEMPLATE, description };
      this.registered.set(name, command);
    }
    config.command = known;
    this.config = config;
  }

  /** Once all plugins have registered theirs: the names that are not ours, each with what can be done about it. */
  taken(): readonly string[] {
    return this.wanted().flatMap(([name, command]) => {
      if (this.isOurs(name)) return [];
      const whose = this.registered.has(name)
        ? "a plugin listed behind goalkeeper"
        : "you, or a plugin listed before goalkeeper";
      const what = command === "goal" ? "goals are not started with it" : "it does not show goalkeeper's tasks";
      const option = command === "goal" ? 'give goalkeeper another name with the option "command", or ' : "";
      const place = this.registered.has(name) ? "last" : "first";
      return `The command /${name} is taken by ${whose}: ${what}. To have it, ${option}list goalkeeper ${place}.`;
    });
  }

  /** @throws CommandAnswered when a command of ours has been answered and no turn may start */
  execute: NonNullable<Hooks["command.execute.before"]> = async (input, output) => {
    const command = this.registered.get(input.command);
    // A plugin behind this one may have put its own in its place.
    if (command === undefined || !this.isOurs(input.command)) return;
    try {
      // Files and images that the user has sent along; the text is the template.
      const attached = output.parts.filter(({ type }) => type !== "text");
      const said = await this.run(command, input.sessionID, input.arguments, attached.length > 0);
      // In place: the host keeps the array that it handed out. The type wants ids that the host adds itself.
      const part = { type: "text", text: said } as (typeof output.parts)[number];
      output.parts.splice(0, output.parts.length, part, ...attached);
    } catch (error) {
      if (isAnswered(error)) throw error;
      this.host.log("error", `goalkeeper: the command /${input.command} failed`, { error: describe(error) });
      const message = error instanceof Error ? error.message : String(error);
      await this.host.toast({ title: input.command, message, variant: "error" });
      throw error;
    }
  };

  private isOurs(name: string): boolean {
    return this.config.command?.[name]?.template === COMMAND_TEMPLATE;
  }

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
