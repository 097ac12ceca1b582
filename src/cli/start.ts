import { systemClock } from "../time/clock.ts";
import type { RunSettings } from "./arguments.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { promptFrom } from "./input.ts";
import { Interrupts } from "./interrupts.ts";
import { checkObjective } from "./objective.ts";
import { isStartedByNpx, whenOrphaned } from "./orphaned.ts";
import type { Sink } from "./output.ts";
import { directoryOf, run } from "./run.ts";

/** Runs in this process: its arguments are read, its signals and its streams are the run's. */
export async function start(settings: RunSettings): Promise<ExitCode> {
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
