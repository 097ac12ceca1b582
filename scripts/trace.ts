// npm run trace -- [--replay] <file.jsonl> …
//
// Tells the story of a trace, a line for each thing that happened. With --replay it feeds what was recorded to today's code
// and says whether that does the same again. Exit code 0: it does; 1: it does something else; 2: it could not be told.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { readTrace } from "../src/trace/read.ts";
import { replay } from "../src/trace/replay.ts";
import { replayText } from "../src/trace/replay-text.ts";
import type { TraceRecord } from "../src/trace/schema.ts";
import { timeline } from "../src/trace/timeline.ts";
import { painterFor, timelineText } from "../src/trace/timeline-text.ts";

const USAGE = "usage: npm run trace -- [--replay] <file.jsonl> …";

process.exitCode = main(process.argv.slice(2));

function main(args: readonly string[]): number {
  const read = readArguments(args);
  if (read === undefined) {
    console.error(USAGE);
    return 2;
  }
  const codes = read.files.map((file) => {
    const records = readFile(file);
    if (records === undefined) return 2;
    if (read.files.length > 1) console.log(file);
    return read.replay ? showReplay(records) : showTimeline(records);
  });
  return Math.max(...codes);
}

function readArguments(args: readonly string[]): { replay: boolean; files: readonly string[] } | undefined {
  try {
    const options = { replay: { type: "boolean", default: false } } as const;
    const { values, positionals: files } = parseArgs({ args: [...args], options, allowPositionals: true });
    return files.length === 0 ? undefined : { replay: values.replay, files };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}

function readFile(file: string): readonly TraceRecord[] | undefined {
  try {
    const { records, torn, unknown } = readTrace(readFileSync(file, "utf8"));
    if (torn + unknown > 0) console.error(`${file}: ${torn} lines are cut off, ${unknown} are of an unknown kind`);
    if (records.length > 0) return records;
    console.error(`${file}: there is nothing in it that is a trace`);
  } catch (error) {
    console.error(`${file}: ${error instanceof Error ? error.message : error}`);
  }
  return undefined;
}

function showTimeline(records: readonly TraceRecord[]): number {
  const paint = painterFor(process.stdout, process.env);
  const width = process.stdout.columns;
  for (const line of timeline(records)) console.log(timelineText(line, { paint, ...(width && { width }) }));
  return 0;
}

function showReplay(records: readonly TraceRecord[]): number {
  const lives = replay(records);
  for (const life of lives) {
    if (lives.length > 1) console.log(`process ${life.pid}, ${new Date(life.beganAt).toISOString()}`);
    for (const line of replayText(life)) console.log(line);
  }
  if (lives.some(({ different }) => different > 0)) return 1;
  return lives.some(({ stopped }) => stopped !== undefined) ? 2 : 0;
}
