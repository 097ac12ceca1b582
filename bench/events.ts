import type { Event } from "@opencode-ai/sdk";
import { measure } from "mitata";
import { createBenchPlugin } from "./plugin-fixture.ts";
import { type Extent, ns, type Row, times } from "./table.ts";

type EventHook = (input: { event: Event }) => Promise<void>;

/** What the `event` hook costs: OpenCode calls it for every token of every session. */
export async function benchEvents(extent: Extent): Promise<readonly Row[]> {
  const ignored = { event: { type: "file.watcher.updated", properties: { file: "x", event: "change" } } as Event };
  const empty: EventHook = async () => {
    // What any plugin with an `event` hook costs at least.
  };
  const few = await createBenchPlugin(10);
  const many = await createBenchPlugin(1_000);
  const [base, ours] = await pair(
    extent,
    () => empty(ignored),
    () => few.event(ignored),
  );
  const [ten, thousand] = await pair(
    extent,
    () => few.event(few.delta),
    () => many.event(many.delta),
  );
  await few.dispose();
  await many.dispose();
  return [
    {
      what: "`event`, one we ignore",
      ours: ns(ours),
      against: `${ns(base)} (empty async function)`,
      ratio: times(ours, base),
      aim: "≤ 3×",
    },
    {
      what: "`event`, activity, 1,000 tasks",
      ours: ns(thousand),
      against: `${ns(ten)} (10 tasks)`,
      ratio: times(thousand, ten),
      aim: "≤ 1.2×",
    },
  ];
}

/** Medians of two functions, measured in turn several times so that a slow moment of the machine hits both. */
async function pair(extent: Extent, a: () => Promise<void>, b: () => Promise<void>): Promise<[number, number]> {
  const count = extent === "full" ? 5 : 1;
  const rounds: { a: number[]; b: number[] } = { a: [], b: [] };
  for (let round = 0; round < count; round++) {
    rounds.a.push((await measure(a)).p50);
    rounds.b.push((await measure(b)).p50);
  }
  return [lowest(rounds.a), lowest(rounds.b)];
}

function lowest(values: readonly number[]): number {
  return Math.min(...values);
}
