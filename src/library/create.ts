import { assemble } from "../host/assembly.ts";
import type { Client } from "../host/client.ts";
import { OpencodeHost } from "../host/opencode.ts";
import { METADATA_KEY } from "../host/store.ts";
import { type Options, parseOptions } from "../options.ts";
import { systemClock } from "../time/clock.ts";
import { openTrace } from "../trace/open.ts";
import type { TaskManager } from "./task-manager.ts";

/** The options of the plugin that concern tasks; see the README for their meaning and defaults. */
export type TaskOptions = Pick<
  Options,
  | "debug_log"
  | "debug_log_text"
  | "max_concurrent_tasks"
  | "max_task_block_seconds"
  | "max_task_depth"
  | "missing_task_grace_seconds"
  | "on_interrupt"
  | "resume_on_start"
  | "stale_task_seconds"
  | "task_cleanup_delay_seconds"
  | "unstable_models"
>;

export interface TaskManagerSettings {
  /** The `client` that OpenCode hands to your plugin. */
  readonly client: Client;
  /** The `directory` that OpenCode hands to your plugin. */
  readonly directory: string;
  /** Name of your plugin: the books are kept under this key in the metadata of the sessions. Lower-case, - and _. */
  readonly key: string;
  readonly options?: Partial<TaskOptions>;
}

/** A setting is not what it should be; `message` names each one, and what was expected. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

/**
 * Makes a manager for background tasks of your own plugin. It tracks what it has launched itself, under its own key, and
 * leaves everything else alone; goalkeeper's plugin, if it is there too, sees your tasks and waits for them. Call it in
 * `server()`, which need not wait for anything: what an earlier process has left is looked for once OpenCode has started.
 *
 * @throws SettingsError when a setting is not what it should be
 * @example
 * export default {
 *   id: "reviewer",
 *   server: async ({ client, directory }) => {
 *     const tasks = createTaskManager({ client, directory, key: "reviewer" });
 *     return { event: async ({ event }) => tasks.event(event), dispose: async () => tasks.dispose() };
 *   },
 * };
 */
export function createTaskManager({ client, directory, key, options = {} }: TaskManagerSettings): TaskManager {
  const parsed = parseOptions(options);
  const problems = [...keyProblems(key), ...parsed.problems];
  if (problems.length > 0) throw new SettingsError(problems.join(" "));
  const host = new OpencodeHost(client, directory);
  const trace = openTrace(parsed.options, systemClock, host);
  const { tasks, loader } = assemble({
    host,
    key,
    options: { ...parsed.options, auto_continue: false, tools: [] },
    adopts: false,
    // It has no goals.
    hostProblem: async () => undefined,
    observe: (observation) => trace.observe(observation),
    dropped: trace.dropped,
    onDispose: () => trace.close(),
  });
  // OpenCode answers once it has started, and after a restart no event comes before somebody does something.
  loader.begin();
  return tasks;
}

function keyProblems(key: string): readonly string[] {
  if (key === METADATA_KEY) return [`The key "${METADATA_KEY}" is the plugin's own. Use the name of yours.`];
  if (/^[a-z][a-z0-9_-]*$/.test(key)) return [];
  return [`The key is "${key}"; a name of lower-case letters, digits, - and _ was expected.`];
}
