import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { HostPort } from "../host/port.ts";
import type { Options } from "../options.ts";
import type { Clock } from "../time/clock.ts";
import { createRecorder, defaultTraceDirectory, type Recorder } from "./recorder.ts";

const OFF: Recorder = { observe: () => undefined, close: () => undefined };

/** The trace that the options ask for. When it is off nothing is made: no recorder, no directory, no file. */
export function openTrace(
  options: Pick<Options, "debug_log" | "debug_log_text">,
  clock: Clock,
  host: Pick<HostPort, "log">,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Recorder {
  const wanted = options.debug_log;
  if (wanted === false) return OFF;
  return createRecorder({
    directory: wanted === true ? defaultTraceDirectory(env) : resolve(fromHome(wanted)),
    clock,
    withText: options.debug_log_text,
    log: (...message) => host.log(...message),
  });
}

/** A configuration file has no shell that would do this. */
function fromHome(path: string): string {
  return /^~(?=$|[/\\])/.test(path) ? join(homedir(), path.slice(1)) : path;
}
