import { measure } from "mitata";
import { type BenchBooks, createBenchBooks } from "./books-fixture.ts";
import { type Extent, median, type Row, times, us } from "./table.ts";

const FEW = 10;
const MANY = 1_000;
const ROUNDS = 300;
const NEW_BOOKS = 20;
/** Well under a millisecond. */
const AIM = "≤ 500 µs";

/** What one root with many launched tasks costs us: our own time, with nobody asked and nothing written. */
export async function benchTasks(extent: Extent): Promise<readonly Row[]> {
  const [rounds, newBooks] = extent === "full" ? [ROUNDS, NEW_BOOKS] : [1, 1];
  const few = createBenchBooks(FEW);
  const many = createBenchBooks(MANY);
  const samples = { few: newSamples(), many: newSamples() };
  for (let round = 0; round < rounds; round++) {
    live(few, samples.few, round);
    live(many, samples.many, round);
  }
  for (let round = 0; round < newBooks; round++) samples.few.launch.push(...createBenchBooks(FEW).launches.slice(-1));
  samples.many.launch.push(...many.launches.slice(-newBooks));
  const [ten, thousand] = await signs(few, many, extent);
  const row = (what: string, step: keyof Samples, aim = AIM): Row => {
    const [ours, against] = [median(samples.many[step]), median(samples.few[step])];
    return { what, ours: us(ours), against: `${us(against)} (${FEW} tasks)`, ratio: times(ours, against), aim };
  };
  return [
    row(`1,000 tasks in a root: one more is launched`, "launch"),
    row("… one ends", "end"),
    row("… the clock looks at one", "look"),
    row("… the clock, nothing is due", "clock"),
    row("… an event that changes nothing", "event"),
    row("… the list of all", "list"),
    {
      what: "… a sign of life",
      ours: us(thousand),
      against: `${us(ten)} (${FEW} tasks)`,
      ratio: times(thousand, ten),
      aim: "≤ 1.2×",
    },
  ];
}

interface Samples {
  readonly launch: number[];
  readonly end: number[];
  readonly look: number[];
  readonly clock: number[];
  readonly event: number[];
  readonly list: number[];
}

function newSamples(): Samples {
  return { launch: [], end: [], look: [], clock: [], event: [], list: [] };
}

/** One task ends and is resumed, so that there are always as many. Only the steps of interest are timed. */
function live(books: BenchBooks, samples: Samples, round: number): void {
  const taskID = books.working(round);
  // Once before: what is timed is the event, and not that the other books were in the caches.
  books.answerBegins(taskID);
  samples.event.push(timed(() => books.answerBegins(taskID)));
  books.rests(taskID);
  samples.look.push(timed(() => books.clock()));
  books.answerHost();
  samples.end.push(timed(() => books.looked(taskID)));
  books.answerHost();
  samples.clock.push(timed(() => books.clock()));
  samples.list.push(timed(() => books.list()));
  books.resume(taskID);
}

async function signs(few: BenchBooks, many: BenchBooks, extent: Extent): Promise<[number, number]> {
  const count = extent === "full" ? 5 : 1;
  const rounds: [number, number][] = [];
  for (let round = 0; round < count; round++) {
    const [ten, thousand] = [await measure(() => few.sign()), await measure(() => many.sign())];
    rounds.push([ten.p50, thousand.p50]);
  }
  return [Math.min(...rounds.map(([ten]) => ten)), Math.min(...rounds.map(([, thousand]) => thousand))];
}

function timed(work: () => void): number {
  const before = Bun.nanoseconds();
  work();
  return Bun.nanoseconds() - before;
}
