import type { PluginModule } from "@opencode-ai/plugin";
import type { Keeper } from "../keeper/keeper.ts";
import type { Observation } from "../keeper/messages.ts";
import { type CompletionCheck, keeperConfig, parseOptions } from "../options.ts";
import { type Clock, systemClock } from "../time/clock.ts";
import { openTrace } from "../trace/open.ts";
import { type Assembly, assemble } from "./assembly.ts";
import { type CheckResult, runCompletionCheck } from "./completion-check.ts";
import { copyHooks } from "./copy.ts";
import { EditorAnswer } from "./editor-answer.ts";
import { createHooks, type HookDependencies } from "./hooks.ts";
import { HostVersion } from "./host-version.ts";
import { HostIds } from "./message-id.ts";
import { OpencodeHost } from "./opencode.ts";
import { commandRunner } from "./own-commands.ts";
import { isOwnTool, ownTools } from "./own-tools.ts";
import { beFirst, firstCopy, hasReachedUs } from "./registry.ts";
import { RunAnswer, written } from "./run-answer.ts";
import { isEditorMode, type RunMode, runMode } from "./run-mode.ts";
import { RunProgress } from "./run-progress.ts";
import { METADATA_KEY } from "./store.ts";

/**
 * The plugin for one instance of OpenCode: of a directory, as a rule, and some hosts make two of the same one. OpenCode
 * calls it once per instance and awaits it; asking the host anything in here would deadlock its start, so nothing is awaited.
 */
export const server: PluginModule["server"] = async (input, rawOptions) => {
  const clock = systemClock;
  const host = new OpencodeHost(input.client, input.directory);
  const { options, problems, summary } = parseOptions(rawOptions);
  const first = firstCopy(input.client);
  if (first !== undefined) {
    host.log(
      "warn",
      "goalkeeper: another copy is active in this directory (is the plugin listed twice?); this one leaves everything to it",
    );
    return copyHooks(first, options, host);
  }
  const trace = openTrace(options, clock, host);
  const mode = runMode();
  const progress = mode === undefined ? undefined : runProgress(mode, options.command, clock, () => parts.keeper);
  const editor = isEditorMode() ? new EditorAnswer({ stdout: TERMINAL.stdout, ids: new HostIds(clock) }) : undefined;
  // A toast is seen by nobody there.
  if (progress !== undefined) for (const problem of problems) progress.problem(problem);
  const { problem: hostProblem } = new HostVersion(() => host.version());
  const parts: Assembly = assemble({
    host,
    hostProblem,
    key: METADATA_KEY,
    options,
    adopts: true,
    inRun: mode !== undefined,
    observe: (observation) => {
      trace.observe(observation);
      progress?.observe(observation);
      if (editor !== undefined) tellToast(editor, observation, parts.isUsedHere);
    },
    isOthers: (call) => isOwnTool(call.tool, options.tools) && !hasReachedUs(call),
    dropped: trace.dropped,
    onDispose: () => {
      release();
      trace.close();
    },
  });
  const deps: HookDependencies = {
    ...parts,
    options,
    problems,
    summary,
    host,
    hostProblem,
    announce: async (said) => {
      if (progress !== undefined) progress.problem(said);
      else if (editor !== undefined) editor.announce(said);
      else await host.toast({ title: "goalkeeper", message: said, variant: "warning" });
    },
    now: () => clock.now(),
    command: options.command,
    limits: keeperConfig(options).limits.budget,
    check: checkOf(options.completion_check, input.directory),
    onDispose: () => parts.tasks.dispose(),
    runAnswer: mode === undefined ? undefined : runAnswer(mode, parts, clock),
    editor,
  };
  const run = commandRunner(deps);
  const release = beFirst(input.client, { tools: (families) => ownTools(families, deps), run });
  return createHooks(deps, run);
};

function checkOf(
  check: CompletionCheck | undefined,
  directory: string,
): ((signal: AbortSignal | undefined) => Promise<CheckResult>) | undefined {
  return check === undefined ? undefined : (signal) => runCompletionCheck(check, directory, signal);
}

/** What a toast says elsewhere, in the sessions that the editor has open: it knows no others. */
function tellToast(editor: EditorAnswer, observation: Observation, isUsedHere: (rootID: string) => boolean): void {
  if (observation.type !== "effect" || observation.effect.type !== "toast") return;
  const { rootID, message } = observation.effect;
  if (isUsedHere(rootID)) editor.tell(rootID, `goalkeeper: ${message}`);
}

/** Plugins of `opencode run` and `opencode acp` work in its own process: what it writes to is theirs, too. */
const TERMINAL = {
  stdout: (text: string) => void process.stdout.write(text),
  stderr: (text: string) => void process.stderr.write(text),
};

function runAnswer(mode: RunMode, { keeper, tasks }: Assembly, clock: Clock): RunAnswer {
  return new RunAnswer({
    stdout: (text) => written(process.stdout, text),
    stderr: (text) => written(process.stderr, text),
    mode,
    clock,
    stored: (rootID) => keeper.stored(rootID),
    exit: (code) => {
      tasks.dispose();
      process.exit(code);
    },
  });
}

function runProgress(mode: RunMode, command: string, clock: Clock, books: () => Keeper): RunProgress {
  return new RunProgress({
    ...TERMINAL,
    mode,
    command,
    now: () => clock.now(),
    books,
    onFailed: () => {
      process.exitCode = 1;
    },
    afterwards: queueMicrotask,
  });
}
