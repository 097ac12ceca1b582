import type { HostEvent } from "../host/port.ts";
import type { Input } from "../keeper/messages.ts";
import { toHostEvent } from "./replay-event.ts";
import { toInput } from "./replay-input.ts";
import type { KnownSession, TraceRecord } from "./schema.ts";

/** Where a replay ends before its trace does, in words. */
export interface Stop {
  readonly seq: number;
  readonly why: string;
}

type Output = Extract<TraceRecord, { kind: "task" | "goal" | "decision" | "hold" | "outbox" | "effect" }>;

/** An input with all that is recorded of it. */
export interface Step {
  readonly seq: number;
  readonly at: number;
  /** Undefined: it is about another root, and this one is only looked at. */
  readonly input: Input | undefined;
  readonly known: readonly KnownSession[];
  readonly signs: Readonly<Record<string, number>>;
  readonly outputs: Output[];
  readonly forgotten: string[];
  readonly rested: string[];
  seats: readonly string[] | undefined;
  lines: number;
}

/** The lines of each plugin instance that has written into a trace, by itself. */
export function linesOfLives(records: readonly TraceRecord[]): readonly (readonly TraceRecord[])[] {
  const lives: TraceRecord[][] = [];
  const current = new Map<string, TraceRecord[]>();
  for (const record of records) {
    const key = `${record.root} ${record.pid} ${record.life}`;
    const lines = record.kind === "start" ? undefined : current.get(key);
    if (lines !== undefined) {
      lines.push(record);
      continue;
    }
    const begun = [record];
    current.set(key, begun);
    lives.push(begun);
  }
  return lives;
}

/**
 * The lines after the first one of a life as the inputs that they record, up to a line that cannot be replayed.
 * `hasEnded`: everything of the last one has been written.
 */
export function stepsOf(lines: readonly TraceRecord[]): {
  readonly steps: readonly Step[];
  readonly stopped: Stop | undefined;
  readonly hasEnded: boolean;
} {
  const steps: Step[] = [];
  const events = new Map<number, HostEvent>();
  let known: readonly KnownSession[] = [];
  let expected = 2;
  const end = (stopped: Stop | undefined, hasEnded: boolean) => ({ steps, stopped, hasEnded });
  for (const record of lines) {
    const { seq } = record;
    if (record.kind === "gap" || seq !== expected++)
      return end({ seq, why: "lines before this one are missing" }, false);
    if (record.kind === "stop") return end(undefined, true);
    if (record.kind === "known") {
      known = record.sessions;
      continue;
    }
    if (record.kind === "host" || record.kind === "input" || record.kind === "again") {
      const input = inputOf(record, events);
      if (typeof input === "string") return end({ seq, why: input }, true);
      steps.push(newStep(record, input, known));
      known = [];
      continue;
    }
    const step = steps.at(-1);
    if (step === undefined || record.kind === "start")
      return end({ seq, why: "no input stands before this line" }, true);
    step.lines++;
    switch (record.kind) {
      case "forgotten":
        step.forgotten.push(record.sessionID);
        break;
      case "rested":
        step.rested.push(record.sessionID);
        break;
      case "seats":
        step.seats = record.taken;
        break;
      case "task":
      case "goal":
      case "decision":
      case "hold":
      case "outbox":
      case "effect":
        step.outputs.push(record);
    }
  }
  return end(undefined, false);
}

type InputRecord = Extract<TraceRecord, { kind: "host" | "input" | "again" }>;

/** Undefined: that of another root. A string says why there is none to be had. */
function inputOf(record: InputRecord, events: Map<number, HostEvent>): Input | string | undefined {
  if (record.kind === "again") {
    const event = events.get(record.of);
    return event === undefined ? "the line that it repeats is missing" : { type: "host", event };
  }
  const { about } = record;
  if (record.kind === "input")
    return about === undefined
      ? (toInput(record.input, record.root) ?? "not everything of this input is recorded")
      : undefined;
  const { event } = record;
  if (about === undefined && "error" in event && event.error?.unclear === true)
    return "what can be done about this error stands only in its words, which no trace keeps";
  const heard = toHostEvent(event);
  events.set(record.seq, heard);
  return { type: "host", event: heard };
}

function newStep(record: InputRecord, input: Input | undefined, known: readonly KnownSession[]): Step {
  const { seq, at } = record;
  const signs = record.kind === "input" ? (record.signs ?? {}) : {};
  const lines = known.length === 0 ? 1 : 2;
  return { seq, at, input, known, signs, outputs: [], forgotten: [], rested: [], seats: undefined, lines };
}
