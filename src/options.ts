import * as z from "zod/mini";
import { closest } from "./closest.ts";
import type { KeeperConfig } from "./keeper/config.ts";
import { type ConcurrencyLimit, DEFAULT_CONCURRENCY } from "./tasks/slots.ts";

const seconds = () => z.number().check(z.nonnegative());
const count = () => z.int().check(z.nonnegative());

/** One schema per option, so that one bad value costs one option and not all of them; made when options are given. */
const schemas = () => ({
  /** Whether the goal is continued by itself. Off: outcomes are still delivered. @default true */
  auto_continue: z.boolean(),
  /** Name of the command. A command of the user's own with that name is left alone. @default "goal" */
  command: z.string().check(z.regex(/^[a-z][a-z0-9_-]*$/)),
  /** Tool families the model gets; each costs tokens in every request. @default ["goal", "background"] */
  tools: z.array(z.enum(["goal", "background"])),
  /** After a restart: go on as soon as the directory is opened, instead of sleeping until the user writes. @default false */
  resume_on_start: z.boolean(),
  /** How long a missing task may stay unobservable before its transcript settles it. @default 5 */
  missing_task_grace_seconds: seconds(),
  /** How long one task may hold a goal back before one continuation names it as still running. 0: no ceiling. @default 900 */
  max_task_block_seconds: seconds(),
  /** The query window of an ended task. @default 600 */
  task_cleanup_delay_seconds: seconds(),
  /** A task we launched, with no sign of life and no tool running for this long, is cancelled. 0: never. @default 600 */
  stale_task_seconds: seconds(),
  /**
   * Launched tasks running at once per model; an object sets it per "provider/model", or per "provider" for its models
   * together. 0: no limit. @default 5
   */
  max_concurrent_tasks: z.union([count(), z.record(z.string().check(z.minLength(1)), count())]),
  /** Deepest nesting of launched tasks. @default 3 */
  max_task_depth: z.int().check(z.positive()),
  /**
   * Launched tasks whose resolved model matches are marked unstable: verify before relying on them. `*` and `?` as in
   * file names, on "provider/model" or the model alone. @default ["*gemini*", "*kimi*"]
   */
  unstable_models: z.array(z.string()),
  /** What the user's abort of the root does to the tasks we launched there. @default "cancel" */
  on_interrupt: z.enum(["cancel", "keep"]),
  /** Continuations per goal before it is limited. 0: no limit. @default 25 */
  max_auto_turns: count(),
  /**
   * Tokens per goal, those of its tasks included, before it is limited; at 125 % its turn is ended. 0: no limit.
   * @default undefined: no limit
   */
  max_goal_tokens: count(),
  /** Time per goal before it is limited; at 125 % its turn is ended. 0: no limit. @default undefined: no limit */
  max_goal_seconds: seconds(),
  /** Consecutive failures to get a turn going before the goal pauses. @default 3 */
  max_prompt_failures: z.int().check(z.positive()),
  /** Continuation turns in a row without a successful tool call before the goal pauses. 0: off. @default 2 */
  no_progress_turns: count(),
  /** Agents in which a goal never runs. @default ["plan"] */
  restricted_agents: z.array(z.string()),
  /**
   * Run, without a shell and in the project's directory, when the model says that the goal is complete: exit code 0
   * accepts, else the end of its output goes back to the model. @default undefined
   */
  completion_check: z.object({
    command: z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
    timeout_seconds: z.optional(z.number().check(z.positive())),
  }),
  /** Hold `opencode run` open until nothing is owed. @default true */
  wait_in_run: z.boolean(),
  /** Ceiling on that hold. 0: none. @default 1800 */
  max_run_wait_seconds: seconds(),
  /** Write traces: true, or the directory for them, absolute or below `~`. @default false */
  debug_log: z.union([z.boolean(), z.string().check(z.regex(/^(?:[/~]|[A-Za-z]:[\\/])/))]),
  /** Adds prompt and output text to the traces. @default false */
  debug_log_text: z.boolean(),
});

export interface CompletionCheck {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** @default 600 */
  readonly timeout_seconds?: number | undefined;
}

/** The plugin's options as people write them: flat, snake_case, seconds as numbers. */
export interface Options {
  readonly auto_continue: boolean;
  readonly command: string;
  readonly tools: readonly ("goal" | "background")[];
  readonly resume_on_start: boolean;
  readonly missing_task_grace_seconds: number;
  readonly max_task_block_seconds: number;
  readonly task_cleanup_delay_seconds: number;
  readonly stale_task_seconds: number;
  readonly max_concurrent_tasks: ConcurrencyLimit;
  readonly max_task_depth: number;
  readonly unstable_models: readonly string[];
  readonly on_interrupt: "cancel" | "keep";
  readonly max_auto_turns: number;
  readonly max_goal_tokens: number | undefined;
  readonly max_goal_seconds: number | undefined;
  readonly max_prompt_failures: number;
  readonly no_progress_turns: number;
  readonly restricted_agents: readonly string[];
  readonly completion_check: CompletionCheck | undefined;
  readonly wait_in_run: boolean;
  readonly max_run_wait_seconds: number;
  readonly debug_log: boolean | string;
  readonly debug_log_text: boolean;
}

export const DEFAULT_OPTIONS: Options = {
  auto_continue: true,
  command: "goal",
  tools: ["goal", "background"],
  resume_on_start: false,
  missing_task_grace_seconds: 5,
  max_task_block_seconds: 900,
  task_cleanup_delay_seconds: 600,
  stale_task_seconds: 600,
  max_concurrent_tasks: DEFAULT_CONCURRENCY,
  max_task_depth: 3,
  unstable_models: ["*gemini*", "*kimi*"],
  on_interrupt: "cancel",
  max_auto_turns: 25,
  max_goal_tokens: undefined,
  max_goal_seconds: undefined,
  max_prompt_failures: 3,
  no_progress_turns: 2,
  restricted_agents: ["plan"],
  completion_check: undefined,
  wait_in_run: true,
  max_run_wait_seconds: 1_800,
  debug_log: false,
  debug_log_text: false,
};

/** What a value should have been, in words for people. */
const EXPECTED: Readonly<Record<keyof Options, string>> = {
  auto_continue: "true or false",
  command: "a name of lower-case letters, digits, - and _",
  tools: 'a list of "goal" and "background"',
  resume_on_start: "true or false",
  missing_task_grace_seconds: "a number of seconds, 0 or more",
  max_task_block_seconds: "a number of seconds, 0 or more",
  task_cleanup_delay_seconds: "a number of seconds, 0 or more",
  stale_task_seconds: "a number of seconds, 0 or more",
  max_concurrent_tasks: 'a whole number, 0 or more, or an object of such by "provider/model" or "provider"',
  max_task_depth: "a whole number, 1 or more",
  unstable_models: "a list of patterns of model names",
  on_interrupt: '"cancel" or "keep"',
  max_auto_turns: "a whole number, 0 or more",
  max_goal_tokens: "a whole number, 0 or more",
  max_goal_seconds: "a number of seconds, 0 or more",
  max_prompt_failures: "a whole number, 1 or more",
  no_progress_turns: "a whole number, 0 or more",
  restricted_agents: "a list of agent names",
  completion_check: 'an object like {"command": ["npm", "test"], "timeout_seconds": 600}',
  wait_in_run: "true or false",
  max_run_wait_seconds: "a number of seconds, 0 or more",
  debug_log: "true, false or the absolute path of a directory",
  debug_log_text: "true or false",
};

export interface ParsedOptions {
  readonly options: Options;
  /** One message per refused key: what was wrong, what was expected, what happens now. */
  readonly problems: readonly string[];
  /** All problems in a few words, for a toast, which OpenCode's next toast replaces; absent if there are none. */
  readonly summary?: string;
}

/** So many letters of a known option may be wrong in an unknown one. */
const SLIPS = 2;

/**
 * Reads the options of `["opencode-goalkeeper", { … }]`. Never throws: a refused key keeps its default.
 *
 * @example parseOptions({ max_auto_turns: 5 }).options.max_auto_turns // 5
 */
export function parseOptions(input: unknown): ParsedOptions {
  if (input === undefined || input === null) return { options: DEFAULT_OPTIONS, problems: [] };
  if (typeof input !== "object" || Array.isArray(input)) {
    const problem = `The options are ${shown(input)}; an object was expected. The defaults are used.`;
    return { options: DEFAULT_OPTIONS, problems: [problem], summary: problem };
  }
  const accepted: Record<string, unknown> = {};
  const known = schemas();
  const problems: string[] = [];
  const refused: string[] = [];
  for (const [key, value] of Object.entries(input)) {
    // As if it were not there.
    if (value === undefined) continue;
    if (!isOption(key)) {
      const [meant] = closest(key, Object.keys(known), SLIPS);
      const question = meant === undefined ? "" : `did you mean "${meant}"?`;
      const help = question === "" ? `. Known are: ${Object.keys(known).join(", ")}.` : `: ${question}`;
      problems.push(`Unknown option "${key}"${help} It is ignored.`);
      refused.push(question === "" ? key : `${key} (${question})`);
    } else if (known[key].safeParse(value).success) accepted[key] = value;
    else {
      const fallback = shown(DEFAULT_OPTIONS[key]);
      problems.push(
        `Option "${key}" is ${shown(value)}; ${EXPECTED[key]} was expected. The default ${fallback} is used.`,
      );
      refused.push(key);
    }
  }
  const options = { ...DEFAULT_OPTIONS, ...accepted };
  return refused.length === 0 ? { options, problems } : { options, problems, summary: summaryOf(refused) };
}

function summaryOf(refused: readonly string[]): string {
  const [are, each] = refused.length === 1 ? ["option is", "it"] : ["options are", "each of them"];
  return `${refused.length} ${are} ignored: ${refused.join(", ")}. OpenCode's log says what is wrong with ${each}.`;
}

/**
 * Seconds for people become milliseconds here, once.
 *
 * @param isRun whether it is for `opencode run`
 */
export function keeperConfig(options: Options, isRun = false): KeeperConfig {
  const { wait_in_run: waits, max_run_wait_seconds: ceiling } = options;
  return {
    run: isRun ? { waits, ceilingMs: ceiling === 0 ? Number.POSITIVE_INFINITY : ceiling * 1_000 } : undefined,
    timing: {
      graceMs: options.missing_task_grace_seconds * 1_000,
      cleanupDelayMs: options.task_cleanup_delay_seconds * 1_000,
      ceilingMs: options.max_task_block_seconds * 1_000,
      staleMs: options.stale_task_seconds * 1_000,
    },
    gate: {
      autoContinue: options.auto_continue,
      maxTaskBlockMs: options.max_task_block_seconds * 1_000,
      restrictedAgents: options.restricted_agents,
    },
    command: options.command,
    concurrency: options.max_concurrent_tasks,
    cancelOnInterrupt: options.on_interrupt === "cancel",
    reportHoldMs: (options.max_task_block_seconds || DEFAULT_OPTIONS.max_task_block_seconds) * 1_000,
    hasReadTool: options.tools.includes("background"),
    limits: {
      budget: {
        turns: options.max_auto_turns,
        tokens: options.max_goal_tokens ?? 0,
        ms: (options.max_goal_seconds ?? 0) * 1_000,
      },
      maxPromptFailures: options.max_prompt_failures,
      noProgressTurns: options.no_progress_turns,
    },
  };
}

function isOption(key: string): key is keyof Options {
  return Object.hasOwn(DEFAULT_OPTIONS, key);
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length <= 60 ? json : `${json.slice(0, 59)}…`;
}
