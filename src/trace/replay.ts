import { TRACE_VERSION } from "./recorder.ts";
import { linesOfLives, type Step, type Stop, stepsOf } from "./replay-steps.ts";
import { Replayer } from "./replayer.ts";
import { same } from "./same.ts";
import type { TraceRecord } from "./schema.ts";

/** Where today's code does something else than what is recorded; of each input the first one. */
export interface Difference {
  /** Of the line, or of the input after which nothing more is recorded. */
  readonly seq: number;
  readonly at: number;
  /** Undefined: nothing more was recorded of this input. */
  readonly recorded: TraceRecord | undefined;
  /** Undefined: nothing more came out. A text is "…". */
  readonly replayed: object | undefined;
}

/** What became of the replay of one life: of what one plugin instance has written into a file. */
export interface ReplayedLife {
  readonly pid: number;
  readonly root: string;
  /** Epoch ms of its first line. */
  readonly beganAt: number;
  /** How many records were replayed, and how many of them came out the same. */
  readonly records: number;
  /** Changes of tasks and of the goal. */
  readonly transitions: number;
  /** Answers of the gate, and whether the turn of an `opencode run` is held. */
  readonly decisions: number;
  readonly differences: readonly Difference[];
  /** How many inputs have led to something else; there may be more of them than `differences`. */
  readonly different: number;
  /** Why it was not replayed, or not to its end. */
  readonly stopped: Stop | undefined;
}

export interface ReplayOptions {
  /** So many differences of each life are kept. @default 10 */
  readonly mostDifferences?: number;
}

/**
 * Feeds what a trace has recorded of the inputs of a root to a keeper of today's code, at the recorded moments and with
 * the recorded ids, and compares what it does with what is recorded: changes of tasks and of the goal, decisions, holds,
 * states of the outbox, effects. It asks and writes nothing. Each life is replayed by itself, the oldest first.
 *
 * Texts are not compared, so it makes no difference whether a trace has them. What cannot be replayed is not pretended to
 * be: a life without its beginning or of version 1 of the format, what comes after lines that are missing, and what comes
 * after an error of a provider of which only its words told what can be done about it (`stopped` says which one it is).
 *
 * @example
 * const { records } = readTrace(readFileSync("ses_1234.jsonl", "utf8"));
 * for (const { records, different, stopped } of replay(records)) console.log(records, different, stopped?.why);
 */
export function replay(
  records: readonly TraceRecord[],
  { mostDifferences = 10 }: ReplayOptions = {},
): readonly ReplayedLife[] {
  return linesOfLives(records).map((lines) => replayLife(lines, mostDifferences));
}

function replayLife(lines: readonly TraceRecord[], mostDifferences: number): ReplayedLife {
  const tally = { records: 0, transitions: 0, decisions: 0, different: 0 };
  const differences: Difference[] = [];
  const [first] = lines as readonly [TraceRecord];
  const life = (stopped: Stop | undefined): ReplayedLife => {
    return { pid: first.pid, root: first.root, beganAt: first.at, ...tally, differences, stopped };
  };
  if (first.kind !== "start") return life({ seq: first.seq, why: "its beginning is missing" });
  if (first.version !== TRACE_VERSION) {
    const why = `it is of version ${first.version} of the format; version ${TRACE_VERSION} is needed`;
    return life({ seq: first.seq, why });
  }
  const { config, adopts } = first;
  if (config === undefined || adopts === undefined)
    return life({ seq: first.seq, why: "it does not hold the options" });

  const { steps, stopped, hasEnded } = stepsOf(lines.slice(1));
  const replayer = new Replayer(first.root, config, adopts);
  for (const [index, step] of steps.entries()) {
    const came = replayer.play(step);
    if (typeof came === "string") return life({ seq: step.seq, why: came });
    // Of the last input of a process that was killed not everything need have been written, and of the slots of others
    // that comes last.
    const mayBeCut = index === steps.length - 1 && !hasEnded;
    const at = mayBeCut && replayer.isCrowded ? undefined : firstDifference(step, came, mayBeCut);
    for (const record of step.outputs.slice(0, at)) {
      if (record.kind === "task" || record.kind === "goal") tally.transitions++;
      if (record.kind === "decision" || record.kind === "hold") tally.decisions++;
    }
    tally.records += step.lines;
    if (at === undefined) continue;
    tally.different++;
    const recorded = step.outputs[at];
    const difference = { seq: (recorded ?? step).seq, at: step.at, recorded, replayed: came[at] };
    if (differences.length < mostDifferences) differences.push(difference);
  }
  return life(stopped);
}

/** Where the two part; undefined if they do not. */
function firstDifference({ outputs }: Step, came: readonly object[], mayBeCut: boolean): number | undefined {
  const length = mayBeCut ? outputs.length : Math.max(outputs.length, came.length);
  for (let at = 0; at < length; at++) if (!same(outputs[at], came[at])) return at;
  return undefined;
}
