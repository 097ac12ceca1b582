import { type ChildProcess, spawn } from "node:child_process";
import type { CompletionCheck } from "../options.ts";
import { type Clock, systemClock } from "../time/clock.ts";

/** How the user's own definition of done was judged. */
export type CheckResult =
  | { readonly kind: "passed" }
  /** `how`: in words, why it does not accept. */
  | { readonly kind: "failed"; readonly how: string; readonly output: string };

const DEFAULT_TIMEOUT_SECONDS = 600;
/** What the model reads of the output: the end, where a failure is told. */
const OUTPUT_LENGTH = 4_000;

/**
 * Runs the check in a process group of its own, without a shell: nothing in it is expanded. It is ended with all that it
 * has started when the time is up or the user aborts the turn. Never rejects.
 */
export function runCompletionCheck(
  { command, timeout_seconds = DEFAULT_TIMEOUT_SECONDS }: CompletionCheck,
  directory: string,
  signal?: AbortSignal,
  clock: Clock = systemClock,
): Promise<CheckResult> {
  return new Promise((resolve) => {
    const [program = "", ...args] = command;
    let output = "";
    let ended = "";
    const child = spawn(program, args, { cwd: directory, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const end = (why: string) => {
      ended ||= why;
      killGroup(child);
    };
    const cancel = clock.after(timeout_seconds * 1_000, () => end(`did not end within ${timeout_seconds} s`));
    const abort = () => end("was aborted");
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();

    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-OUTPUT_LENGTH);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const done = (how: string | undefined) => {
      cancel();
      signal?.removeEventListener("abort", abort);
      resolve(how === undefined ? { kind: "passed" } : { kind: "failed", how, output: output.trim() });
    };
    // Something that has left the group may hold its output open, and is not waited for.
    child.once("exit", () => ended !== "" && done(ended));
    child.once("error", (error) => done(`could not be started: ${error.message}`));
    child.once("close", (code, killedBy) => {
      if (ended !== "") return done(ended);
      if (code === 0) return done(undefined);
      return done(code === null ? `was ended by ${killedBy}` : `ended with exit code ${code}`);
    });
  });
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended meanwhile, or there are no groups, as on Windows.
    child.kill("SIGKILL");
  }
}
