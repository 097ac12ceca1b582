// npm run demo: a goal that survives a kill -9, live on the screen. See `--help`.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type ScriptedModel,
  startScriptedModel,
} from "../src/testing/index.ts";
import { ArgumentError, type DemoArguments, readArguments, USAGE } from "./arguments.ts";
import { copyLogin, FAILING_SCRIPT, OWN, ownConfig, ownEnvironment } from "./own-model.ts";
import { DemoFailure, run } from "./run.ts";
import { SCRIPTED, scriptedAgent } from "./scenario.ts";
import { Screen } from "./screen.ts";

/** This clone, as anybody's OpenCode loads it. */
const PLUGIN = pathToFileURL(dirname(import.meta.dir)).href;

/** @returns the exit code: 0 only if the goal completed and the books balance */
async function main(): Promise<number> {
  const args = readArguments(process.argv.slice(2));
  if (args.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const isScripted = args.model === undefined;
  const screen = new Screen(process.stdout, process.env);
  screen.intro(args.model);
  const model = await startScriptedModel(isScripted ? scriptedAgent() : FAILING_SCRIPT);
  const traces = join(mkdtempSync(join(tmpdir(), "goalkeeper-demo-")), "traces");
  const opencode = prepare(args, model, traces);
  const removeLogin = isScripted ? () => undefined : copyLogin(opencode.env.XDG_DATA_HOME ?? "");
  // Processes and sandbox end with this process by themselves; a kept sandbox must not keep the login.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.once(signal, () => {
      removeLogin();
      process.exit(code);
    });
  }
  try {
    const scenario = isScripted ? SCRIPTED : OWN;
    return (await run({ opencode, model, isScripted, scenario, traces, screen, plugin: PLUGIN })) ? 0 : 1;
  } finally {
    removeLogin();
    await opencode.dispose();
    await model.close();
    if (args.keep) screen.say(`The sandbox is kept: ${opencode.root}`);
  }
}

function prepare({ model, keep }: DemoArguments, scripted: ScriptedModel, traces: string): IsolatedOpencode {
  const options = { debug_log: traces, debug_log_text: true, resume_on_start: true, missing_task_grace_seconds: 2 };
  const plugins = [[PLUGIN, options]] as const;
  // As OpenCode comes: its own background tasks are an experiment of its own, and not what is shown here.
  const common = { plugins, keep, git: true, backgroundSubagents: false };
  if (model === undefined) return createIsolatedOpencode({ ...common, model: scripted });
  return createIsolatedOpencode({
    ...common,
    config: ownConfig(model, scripted.providerConfig()),
    env: ownEnvironment(),
  });
}

async function exitCode(): Promise<number> {
  try {
    return await main();
  } catch (error) {
    if (error instanceof ArgumentError) {
      console.error(`demo: ${error.message}\n\n${USAGE}`);
      return 2;
    }
    console.error(error instanceof DemoFailure ? `\ndemo: ${error.message}` : error);
    return 1;
  }
}

// The client's connections would keep the process for some seconds.
process.exit(await exitCode());
