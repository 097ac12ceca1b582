import type { Hooks, ToolDefinition } from "@opencode-ai/plugin";
import { escapeText, frame } from "../delivery/frame.ts";
import { SYSTEM_TEXT } from "../goals/prompts.ts";
import { goalState } from "../goals/words.ts";
import type { TaskManager } from "../library/task-manager.ts";
import type { Options } from "../options.ts";
import { isLive } from "../tasks/task.ts";
import { withTimeout } from "../time/timeout.ts";
import { backgroundCancel } from "../tools/background-cancel.ts";
import { backgroundOutput } from "../tools/background-output.ts";
import { backgroundTask } from "../tools/background-task.ts";
import { createGoal } from "../tools/create-goal.ts";
import type { Tool } from "../tools/define.ts";
import { getGoal } from "../tools/get-goal.ts";
import { TASKS_COMMAND } from "../tools/tasks-command.ts";
import { updateGoal } from "../tools/update-goal.ts";
import { COMMAND_TEMPLATE, CommandAnswered } from "./command.ts";
import type { EventTranslator } from "./events.ts";
import { type CommandDependencies, executeGoalCommand } from "./goal-command.ts";
import type { Loader } from "./loader.ts";
import type { HostIds } from "./message-id.ts";
import type { RunHold } from "./run-hold.ts";
import { TasksCommandRunner } from "./tasks-command.ts";

/** OpenCode waits for it before `opencode run` exits. */
const STORED_WITHIN_MS = 2_000;

export interface HookDependencies extends Omit<CommandDependencies, "hasCeiling" | "hasTools"> {
  readonly options: Options;
  /** What was wrong with the options, for the log; and all of it in short, for the user. */
  readonly problems: readonly string[];
  readonly summary?: string | undefined;
  readonly loader: Loader;
  readonly tasks: TaskManager;
  readonly translator: EventTranslator;
  readonly ids: HostIds;
  /** Set in `opencode run`. */
  readonly runHold: RunHold | undefined;
  readonly onDispose: () => void;
}

/**
 * OpenCode's hooks. A hook that throws fails the user's turn, and a synchronous throw in `event` breaks the host's run
 * loop: every hook is async and guarded. The one exception is `command.execute.before`, which throws on purpose.
 */
export function createHooks(deps: HookDependencies): Hooks {
  const { host, keeper, loader, translator, runHold } = deps;
  /** Set by the `config` hook: a command of the user's own with that name is left alone. */
  const commands = new Map<string, (sessionID: string, args: string) => Promise<string>>();

  const guarded: Guarded = async (hook, work) => {
    try {
      await work();
    } catch (error) {
      host.log("error", `goalkeeper: the hook ${hook} failed; the turn goes on without it`, { error: describe(error) });
    }
  };

  return {
    // The hottest path: one look-up for an event of no use, and no closure around it.
    event: async ({ event }) => {
      try {
        translator.receive(event);
        runHold?.receive(event);
      } catch (error) {
        host.log("error", `goalkeeper: the event ${event.type} could not be handled`, { error: describe(error) });
      }
    },

    config: (config) =>
      guarded("config", () => {
        const known = { ...config.command };
        for (const { name, description, run, hint } of ownCommands(deps)) {
          if (known[name] === undefined) {
            known[name] = { template: COMMAND_TEMPLATE, description };
            commands.set(name, run);
          } else host.log("warn", `goalkeeper: the command /${name} is yours already and is left alone${hint}`);
        }
        config.command = known;
        afterStart(deps);
      }),

    tool: tools(deps),

    "command.execute.before": async (input, output) => {
      const run = commands.get(input.command);
      if (run === undefined) return;
      try {
        const said = await run(input.sessionID, input.arguments);
        // In place: the host keeps the array that it handed out. The type wants ids that the host adds itself.
        const part = { type: "text", text: said } as (typeof output.parts)[number];
        output.parts.splice(0, output.parts.length, part);
      } catch (error) {
        if (error instanceof CommandAnswered) throw error;
        host.log("error", `goalkeeper: the command /${input.command} failed`, { error: describe(error) });
        const message = error instanceof Error ? error.message : String(error);
        await host.toast({ title: input.command, message, variant: "error" });
        throw error;
      }
    },

    "chat.message": (input, output) =>
      guarded("chat.message", async () => {
        const { message, parts } = output;
        const isUsers = parts.some((part) => part.type === "text" && part.synthetic !== true && part.ignored !== true);
        if (isUsers) await loader.spoken(input.sessionID);
        translator.userMessage(message, parts);
        const notice = isUsers ? keeper.pendingNotice(input.sessionID) : undefined;
        if (notice === undefined) return;
        const told = frame("task-outcome", message.id, notice);
        parts.push({
          id: deps.ids.part(),
          sessionID: input.sessionID,
          messageID: message.id,
          type: "text",
          synthetic: true,
          text: told,
        });
        keeper.dispatch({ type: "handed-over", rootID: input.sessionID, messageID: message.id });
      }),

    "experimental.chat.system.transform": ({ sessionID }, output) =>
      guarded("experimental.chat.system.transform", () => {
        if (sessionID !== undefined && keeper.goal(sessionID) !== undefined) output.system.push(SYSTEM_TEXT);
      }),

    "experimental.session.compacting": ({ sessionID }, output) =>
      guarded("experimental.session.compacting", () => {
        const context = compactionContext(sessionID, deps);
        if (context !== undefined) output.context.push(context);
      }),

    dispose: () =>
      guarded("dispose", async () => {
        // The turn is over, and what came of it is still being written.
        if (runHold !== undefined)
          await withTimeout("storing", keeper.allStored(), STORED_WITHIN_MS).catch(() => undefined);
        deps.onDispose();
      }),

    // Elsewhere a turn that ends takes nothing with it, and these cost nothing.
    ...(runHold === undefined ? {} : runHooks(runHold, guarded)),
  };
}

type Guarded = (hook: string, work: () => void | Promise<void>) => Promise<void>;

function runHooks(runHold: RunHold, guarded: Guarded): Hooks {
  return {
    "experimental.text.complete": ({ sessionID, messageID }) =>
      guarded("experimental.text.complete", () => runHold.textCompleted(sessionID, messageID)),
    "tool.execute.before": ({ sessionID }) => guarded("tool.execute.before", () => runHold.toolBegins(sessionID)),
    "experimental.chat.messages.transform": (_input, { messages }) =>
      guarded("experimental.chat.messages.transform", () => runHold.requestBegins(messages)),
  };
}

interface OwnCommand {
  readonly name: string;
  readonly description: string;
  /** What to do about a name that is taken. */
  readonly hint: string;
  /** Answers what takes the place of the user's message; throws `CommandAnswered` if no turn may start. */
  readonly run: (sessionID: string, args: string) => Promise<string>;
}

function ownCommands(deps: HookDependencies): readonly OwnCommand[] {
  const { command: name, max_task_block_seconds, tools: families } = deps.options;
  const goal: OwnCommand = {
    name,
    description: `Pursue a goal until it is met: /${name} <objective> | status | why | list | edit | pause | resume | clear`,
    hint: '; set the option "command"',
    run: (sessionID, args) =>
      executeGoalCommand(sessionID, args, {
        ...deps,
        hasCeiling: max_task_block_seconds > 0,
        hasTools: families.includes("goal"),
      }),
  };
  if (!families.includes("background")) return [goal];
  const runner = new TasksCommandRunner(deps);
  const tasks: OwnCommand = {
    name: TASKS_COMMAND,
    description: `See and end background tasks: /${TASKS_COMMAND} | cancel <number> | cancel all`,
    hint: "",
    run: (sessionID, args) => runner.execute(sessionID, args),
  };
  return [goal, tasks];
}

/** Each family costs tokens in every request. */
function tools(deps: HookDependencies): Record<string, ToolDefinition> {
  const families = deps.options.tools;
  const goal = { get_goal: getGoal, create_goal: createGoal, update_goal: updateGoal };
  const background = {
    background_task: backgroundTask,
    background_output: backgroundOutput,
    background_cancel: backgroundCancel,
  };
  const wanted = { ...(families.includes("goal") ? goal : {}), ...(families.includes("background") ? background : {}) };
  return Object.fromEntries(Object.entries(wanted).map(([name, make]) => [name, hostTool(make(deps))]));
}

/**
 * OpenCode reads the part of a schema that zod and `zod/mini` share; the plugin package's type names the other flavour,
 * which takes three times as long to load.
 */
function hostTool(tool: Tool): ToolDefinition {
  return tool as unknown as ToolDefinition;
}

/** What may only happen once the host has started: asking it anything earlier deadlocks. */
function afterStart({ host, loader, problems, summary }: HookDependencies): void {
  for (const problem of problems) host.log("warn", `goalkeeper: ${problem}`);
  // One for all of them: each toast takes the place of the one before it.
  if (summary !== undefined) {
    host
      .toast({ title: "goalkeeper", message: summary, variant: "warning" })
      .catch((error: unknown) => host.log("warn", describe(error)));
  }
  loader
    .start()
    .catch((error: unknown) =>
      host.log("error", "goalkeeper: stored goals could not be loaded", { error: describe(error) }),
    );
}

/** The summary must keep the goal and what is owed; after it nobody reads the old messages. */
function compactionContext(sessionID: string, { keeper }: HookDependencies): string | undefined {
  const goal = keeper.goal(sessionID);
  const live = keeper.tasks(sessionID).filter(isLive);
  if (goal === undefined && live.length === 0) return undefined;
  const pursued =
    goal === undefined
      ? []
      : [`The session pursues this goal (${goalState(goal)}); keep it word for word: ${escapeText(goal.objective)}`];
  const tasks = live.map(
    (task) => `Background task ${task.id} "${escapeText(task.title)}" is ${task.status}; its result will be reported.`,
  );
  return [...pursued, ...tasks].join("\n");
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
