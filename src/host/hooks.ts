import type { Hooks } from "@opencode-ai/plugin";
import { escapeText, frame } from "../delivery/frame.ts";
import { SYSTEM_TEXT } from "../goals/prompts.ts";
import { goalState } from "../goals/words.ts";
import { isLive } from "../tasks/task.ts";
import { withTimeout } from "../time/timeout.ts";
import type { EventTranslator } from "./events.ts";
import type { Loader } from "./loader.ts";
import type { HostIds } from "./message-id.ts";
import { type CommandRunner, describe, type OwnCommandDependencies, OwnCommands } from "./own-commands.ts";
import { ownTools, TakenTools, takenToolsText } from "./own-tools.ts";
import type { RunHold } from "./run-hold.ts";

/** OpenCode waits for it before `opencode run` exits. */
const STORED_WITHIN_MS = 2_000;

export interface HookDependencies extends OwnCommandDependencies {
  /** What was wrong with the options, for the log; and all of it in short, for the user. */
  readonly problems: readonly string[];
  readonly summary?: string | undefined;
  readonly loader: Loader;
  readonly translator: EventTranslator;
  readonly ids: HostIds;
  /** Set in `opencode run`. */
  readonly runHold: RunHold | undefined;
  /** Says something to the user that is about no session. */
  readonly announce: (said: string) => Promise<void>;
  readonly onDispose: () => void;
}

/**
 * OpenCode's hooks. A hook that throws fails the user's turn, and a synchronous throw in `event` breaks the host's run
 * loop: every hook is async and guarded. The one exception is `command.execute.before`, which throws on purpose.
 */
export function createHooks(deps: HookDependencies, run: CommandRunner): Hooks {
  const { host, keeper, loader, translator, runHold, agents } = deps;
  const commands = new OwnCommands(deps.options, run, host);
  const own = ownTools(deps.options.tools, deps);
  const taken = new TakenTools(own);

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
        commands.register(config);
        afterStart(deps, commands);
      }),

    tool: own,

    "tool.definition": (input, output) => guarded("tool.definition", () => taken.see(input, output)),

    "command.execute.before": commands.execute,

    "chat.message": (input, output) =>
      guarded("chat.message", async () => {
        const { message, parts } = output;
        const isUsers = parts.some((part) => part.type === "text" && part.synthetic !== true && part.ignored !== true);
        if (isUsers) await loader.spoken(input.sessionID);
        if (isUsers) deps.editor?.used(keeper.rootOf(input.sessionID));
        translator.userMessage(message, parts);
        if (keeper.goal(input.sessionID)?.status === "active") await agents.judge(input.sessionID, message.agent);
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
      guarded("experimental.chat.system.transform", async () => {
        if (sessionID !== undefined && keeper.goal(sessionID) !== undefined) output.system.push(SYSTEM_TEXT);
        // The tools of this request have been shown by now.
        const names = taken.news();
        if (names.length > 0) await tell([takenToolsText(names)], deps);
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

/** What may only happen once the host has started: asking it anything earlier deadlocks. */
function afterStart(deps: HookDependencies, commands: OwnCommands): void {
  const { host, loader, problems } = deps;
  for (const problem of problems) host.log("warn", `goalkeeper: ${problem}`);
  tellProblems(deps, commands).catch((error: unknown) => host.log("warn", describe(error)));
  loader
    .start()
    .catch((error: unknown) =>
      host.log("error", "goalkeeper: stored goals could not be loaded", { error: describe(error) }),
    );
}

/** What the user has to know before anything else: wrong options, a host that is too old, commands that others have. */
async function tellProblems(deps: HookDependencies, commands: OwnCommands): Promise<void> {
  const { hostProblem, runHold, summary } = deps;
  // The options were said already; what else is wrong is said where there is a goal. To ask costs a moment.
  if (runHold !== undefined) return;
  const problem = await hostProblem();
  const found = [...(problem === undefined ? [] : [sentence(problem)]), ...commands.taken()];
  await tell(found, deps, summary);
}

/** One for all of them: each toast takes the place of the one before it. */
async function tell(
  found: readonly string[],
  { host, announce }: Pick<HookDependencies, "host" | "announce">,
  summary?: string,
): Promise<void> {
  for (const said of found) host.log("warn", `goalkeeper: ${said}`);
  const all = [...(summary === undefined ? [] : [summary]), ...found];
  if (all.length > 0) await announce(all.join("\n"));
}

function sentence(problem: string): string {
  return `${problem.slice(0, 1).toUpperCase()}${problem.slice(1)}.`;
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
