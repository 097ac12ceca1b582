#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { type Command, parseCommand, type RunSettings } from "./cli/arguments.ts";
import { NotStartedError, UsageError } from "./cli/errors.ts";
import { EXIT, type ExitCode } from "./cli/exit-codes.ts";
import { GUARD, runGuard } from "./cli/guard.ts";
import { HELP } from "./cli/help.ts";
import { promptFrom } from "./cli/input.ts";
import { Interrupts } from "./cli/interrupts.ts";
import { checkObjective } from "./cli/objective.ts";
import { isStartedByNpx, whenOrphaned } from "./cli/orphaned.ts";
import type { Sink } from "./cli/output.ts";
import { directoryOf, run } from "./cli/run.ts";
import { systemClock } from "./time/clock.ts";
import { endWith } from "./time/last-resort.ts";

const [first, ...rest] = process.argv.slice(2);
// Also of `goalkeeper --help | head -1`: an error of a stream that nobody handles ends in a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
if (first === GUARD) runGuard(rest);
else
  main(process.argv.slice(2)).then(endWith, (error: unknown) => {
    process.stderr.write(`goalkeeper: ${error instanceof Error ? error.stack : String(error)}\n`);
    endWith(EXIT.failed);
  });

async function main(args: readonly string[]): Promise<ExitCode> {
  try {
    return await execute(parseCommand(args));
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof NotStartedError)) throw error;
    process.stderr.write(
      `goalkeeper: ${error.message} Nothing was started. \`goalkeeper --help\` lists what there is.\n`,
    );
    return EXIT.notStarted;
  }
}

async function execute(command: Command): Promise<ExitCode> {
  switch (command.kind) {
    case "help":
      process.stdout.write(HELP);
      return EXIT.done;
    case "version":
      process.stdout.write(`${version()}\n`);
      return EXIT.done;
    case "run":
      return start(command.settings);
  }
}

async function start(settings: RunSettings): Promise<ExitCode> {
  const { env, stderr, stdin, stdout } = process;
  const cwd = process.cwd();
  directoryOf(settings, cwd);
  const prompt = settings.mode === "resume" ? "" : await promptFrom(settings.prompt, stdin);
  if (settings.mode === "goal") checkObjective(prompt);
  const interrupts = new Interrupts();
  const atOnce = (exitCode: ExitCode) => {
    interrupts.act();
    process.exit(exitCode);
  };
  const onSignal = () => {
    if (interrupts.ask(systemClock.now()) === "at-once") atOnce(EXIT.interrupted);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  // npm that is ended by a signal passes none on.
  if (isStartedByNpx(env)) whenOrphaned(systemClock, () => process.ppid, onSignal);
  let isUnread = false;
  // Nobody reads any more, as with `goalkeeper run … | head`: nobody is left to be told anything, either.
  const onUnread = ({ code }: NodeJS.ErrnoException) => {
    if (isUnread) return;
    // Whoever reads is still there, and does not get all of it: a full disk.
    if (code !== "EPIPE" && code !== "EOF") return atOnce(EXIT.failed);
    isUnread = true;
    interrupts.ask(systemClock.now());
  };
  const sinkFor = (stream: NodeJS.WriteStream): Sink => ({
    isTTY: stream.isTTY,
    write: (text) => isUnread || stream.write(text),
  });
  for (const stream of [stdout, stderr]) stream.on("error", onUnread);
  const streams = { stdout: sinkFor(stdout), stderr: sinkFor(stderr) };
  const exitCode = await run(prompt, settings, { clock: systemClock, cwd, env, interrupts, ...streams });
  return isUnread ? EXIT.unread : exitCode;
}

function version(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
