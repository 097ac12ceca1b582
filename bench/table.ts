/**
 * How much of a benchmark is run: all of it, or one short round of ours, which shows that it still works. What the latter
 * measures means nothing.
 */
export type Extent = "full" | "try";

/** One measured comparison. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly against: string;
  readonly ratio: string;
  readonly aim: string;
}

const HEADINGS: Row = { what: "what", ours: "ours", against: "against", ratio: "ratio", aim: "aim" };

/** As a markdown table, so that it can stand in the README as it is. */
export function printTable(rows: readonly Row[]): void {
  const columns = Object.keys(HEADINGS) as (keyof Row)[];
  const widths = columns.map((column) => Math.max(...[HEADINGS, ...rows].map((row) => row[column].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(" | ")} |`;
  console.log();
  console.log(line(columns.map((column) => HEADINGS[column])));
  console.log(line(widths.map((width) => "-".repeat(width))));
  for (const row of rows) console.log(line(columns.map((column) => row[column])));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1], sorted[middle]];
  if (high === undefined) return Number.NaN;
  return sorted.length % 2 === 1 || low === undefined ? high : (low + high) / 2;
}

/** What was not run has no figure. */
const NOTHING = "–";

export function ns(value: number): string {
  if (Number.isNaN(value)) return NOTHING;
  return value < 1_000 ? `${value.toFixed(0)} ns` : `${(value / 1_000).toFixed(1)} µs`;
}

/** Of nanoseconds, however few. */
export function us(value: number): string {
  if (Number.isNaN(value)) return NOTHING;
  return value < 1_000 ? ns(value) : `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} µs`;
}

export function ms(value: number): string {
  return Number.isNaN(value) ? NOTHING : `${value.toFixed(1)} ms`;
}

export function times(ours: number, against: number): string {
  return Number.isNaN(ours / against) ? NOTHING : `${(ours / against).toFixed(2)}×`;
}
