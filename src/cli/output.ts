import { styleText } from "node:util";
import type { Clock } from "../time/clock.ts";
import type { Format } from "./arguments.ts";
import type { RunEvent } from "./events.ts";
import { EXIT } from "./exit-codes.ts";
import { Progress } from "./progress.ts";
import { progressLines } from "./words.ts";

export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface Streams {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Writes what a run reports: for people the answers on stdout and the rest on stderr, for programs all on stdout. */
export function writer(format: Format, { stdout, stderr, env }: Streams, clock: Clock): (event: RunEvent) => void {
  const colours = stderr.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  const style = (event: RunEvent, line: string) => {
    if (!colours) return line;
    return event.type === "ended" && event.exitCode !== EXIT.done ? styleText("red", line) : styleText("dim", line);
  };
  const say = (event: RunEvent) => {
    if (event.type === "text") return void stdout.write(`${event.text}\n`);
    for (const line of progressLines(event, clock.now())) stderr.write(`${style(event, `goalkeeper: ${line}`)}\n`);
  };
  const progress = new Progress(clock, say);
  return (event) => {
    if (format === "json") stdout.write(`${JSON.stringify({ ...event, at: clock.now() })}\n`);
    else progress.event(event);
  };
}
