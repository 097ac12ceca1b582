import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { excerpt } from "../delivery/frame.ts";
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
const REASON_LENGTH = 200;
/** Whatever holds the output open for longer, a server that was left running for instance, is not waited for. */
const DRAINS_WITHIN_MS = 500;

/**
 * Runs the check in a process group of its own, without a shell: nothing in it is expanded. Its exit decides, and
 * nothing of its group outlives that. It is ended with all that it has started when the time is up, when the user
 * aborts the turn, and when this process is gone, however that ends. Never rejects, and answers half a second after
 * its time is up at the latest.
 */
export function runCompletionCheck(
  { command, timeout_seconds = DEFAULT_TIMEOUT_SECONDS }: CompletionCheck,
  directory: string,
  signal?: AbortSignal,
  clock: Clock = systemClock,
): Promise<CheckResult> {
  if (signal?.aborted === true) return Promise.resolve(failed("was aborted"));
  const child = start(command, directory);
  if (child instanceof Error) return Promise.resolve(notStarted(child));
  return new Promise((resolve) => {
    const letGo = endWithUs(child);
    const output = endOf(child.stdout, child.stderr);
    /** Undefined: not known yet. */
    let judged: { readonly how: string | undefined } | undefined;

    const finish = (result: CheckResult) => {
      killGroup(child);
      letGo();
      cancel();
      signal?.removeEventListener("abort", abort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(result);
    };
    const tell = () => {
      if (judged !== undefined) finish(judged.how === undefined ? { kind: "passed" } : failed(judged.how, output()));
    };
    /** `how`: why it does not accept. The first one counts. */
    const judge = (how: string | undefined) => {
      if (judged !== undefined) return;
      judged = { how };
      cancel();
      cancel = clock.after(DRAINS_WITHIN_MS, tell);
    };
    const end = (why: string) => {
      judge(why);
      killGroup(child);
    };
    const abort = () => end("was aborted");

    let cancel = clock.after(timeout_seconds * 1_000, () => end(`did not end within ${timeout_seconds} s`));
    signal?.addEventListener("abort", abort, { once: true });
    child.on("error", (error) => child.pid === undefined && finish(notStarted(error)));
    child.once("exit", (code, killedBy) => judge(howEnded(code, killedBy)));
    child.once("close", tell);
  });
}

function start(command: readonly string[], directory: string) {
  const [program = "", ...args] = command;
  try {
    return spawn(program, args, { cwd: directory, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    // A command with a NUL byte, or one that is too long for the system.
    return error instanceof Error ? error : new Error(String(error));
  }
}

function howEnded(code: number | null, killedBy: NodeJS.Signals | null): string | undefined {
  if (code === 0) return undefined;
  return code === null ? `was ended by ${killedBy}` : `ended with exit code ${code}`;
}

function notStarted({ message }: Error): CheckResult {
  return failed(`could not be started: ${excerpt(message, REASON_LENGTH)}`);
}

function failed(how: string, output = ""): CheckResult {
  return { kind: "failed", how, output };
}

/** Reads both streams into one text, and gives its end. A character may come in two pieces. */
function endOf(...streams: readonly Readable[]): () => string {
  let output = "";
  const keep = (text: string) => {
    // Half a surrogate pair is not valid text for a provider.
    output = (output + text).slice(-OUTPUT_LENGTH).replace(/^[\uDC00-\uDFFF]/, "");
  };
  const decoders = streams.map((stream) => {
    const decoder = new StringDecoder("utf8");
    stream.on("data", (chunk: Buffer) => keep(decoder.write(chunk)));
    return decoder;
  });
  return () => {
    for (const decoder of decoders) keep(decoder.end());
    return output.trim();
  };
}

/**
 * The group of a detached process does not end with this one. A small shell outside of both sees to that: its standard
 * input is the lifeline, which the system closes for a process that crashes or is killed, too. The handler is for where
 * there is no such shell. Returns what ends this.
 */
function endWithUs(child: ChildProcess): () => void {
  const kill = () => killGroup(child);
  process.on("exit", kill);
  const guard = startGuard(child.pid);
  return () => {
    process.off("exit", kill);
    guard?.kill("SIGKILL");
  };
}

function startGuard(group: number | undefined): ChildProcess | undefined {
  if (group === undefined) return undefined;
  try {
    const script = ["-c", 'read _; kill -9 "-$1"', "sh", String(group)];
    // In a group of its own: a Ctrl-C in the terminal must not end it before it has done its work.
    return spawn("/bin/sh", script, { cwd: "/", env: {}, detached: true, stdio: ["pipe", "ignore", "ignore"] }).on(
      "error",
      () => undefined,
    );
  } catch {
    return undefined;
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended meanwhile, or there are no groups, as on Windows.
    child.kill("SIGKILL");
  }
}
