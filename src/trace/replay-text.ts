import type { Difference, ReplayedLife } from "./replay.ts";
import { differing } from "./same.ts";
import { count } from "./saying.ts";

const LONGEST_LINE = 600;
const MOST_FIELDS = 5;

/**
 * What a replay says to a person, line by line.
 *
 * @example replayText(life)[0] // "replayed 412 records: 37 transitions and 58 decisions came out the same"
 */
export function replayText(life: ReplayedLife): readonly string[] {
  const { records, transitions, decisions, differences, different, stopped, beganAt } = life;
  const left = different - differences.length;
  return [
    ...(records === 0 ? [] : [`${replayed(records, transitions, decisions)}${others(different)}`]),
    ...(stopped === undefined
      ? []
      : [`${records === 0 ? "not replayed" : "not further than"} line ${stopped.seq}: ${stopped.why}`]),
    ...differences.flatMap((difference) => differenceText(difference, beganAt)),
    ...(left === 0 ? [] : [`and ${left} more`]),
  ];
}

function replayed(records: number, transitions: number, decisions: number): string {
  const same = `${count(transitions, "transition")} and ${count(decisions, "decision")} came out the same`;
  return `replayed ${count(records, "record")}: ${same}`;
}

function others(different: number): string {
  return different === 0 ? "" : `; ${count(different, "input")} led to something else`;
}

/** What differs in two lines of a kind; otherwise both as a whole. */
function differenceText({ seq, at, recorded, replayed }: Difference, beganAt: number): readonly string[] {
  const head = `line ${seq}, +${((at - beganAt) / 1_000).toFixed(1)}s`;
  if (recorded === undefined || replayed === undefined || recorded.kind !== (replayed as typeof recorded).kind)
    return [head, `  recorded: ${shown(recorded)}`, `  replayed: ${shown(replayed)}`];
  const fields = [...differing(recorded, replayed)].map(
    (field) =>
      `  ${field.path}: recorded ${JSON.stringify(field.recorded)}, replayed ${JSON.stringify(field.replayed)}`,
  );
  return [`${head}: ${shown(recorded)}`, ...fields.slice(0, MOST_FIELDS)];
}

function shown(entry: object | undefined): string {
  if (entry === undefined) return "nothing more";
  const { at: _at, seq: _seq, pid: _pid, life: _life, root: _root, ...said } = entry as Record<string, unknown>;
  const text = JSON.stringify(said);
  return text.length <= LONGEST_LINE ? text : `${text.slice(0, LONGEST_LINE - 1)}…`;
}
