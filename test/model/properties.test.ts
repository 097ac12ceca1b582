/**
 * Random stories against the invariants I1–I7 (see judge.ts and book.ts), L1–L5 (ledger.ts), G1–G11 (pursuit.ts) and
 * R1–R8 (run-judge.ts): 16,200 of them, the same ones every time.
 * GOALKEEPER_RUNS multiplies their number and draws others: GOALKEEPER_RUNS=50 is a night's work. fast-check prints the
 * seed of a story that fails, and the shortest story like it; GOALKEEPER_SEED draws the stories of a seed again.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { chaos, honest, launches, pursuits, runs } from "./actions.ts";
import { judgeEnd, judgeLaunched, judgeOutage, judgeReplay, judgeRun, judgeWaits } from "./judge.ts";
import { live, pursuing, running, story } from "./story.ts";

function stories(numRuns: number): fc.Parameters<unknown> {
  const { GOALKEEPER_RUNS: runs, GOALKEEPER_SEED: seed } = process.env;
  const fixed = runs === undefined ? { seed: 20_261_121 } : {};
  return { numRuns: Math.ceil(numRuns * Number(runs ?? 1)), ...(seed === undefined ? fixed : { seed: Number(seed) }) };
}

test("I1 I3 I4 I7 L1 L2 L3 L4 L5 nothing is sent while anything is owed, and every outcome is told once", async () => {
  await fc.assert(
    fc.asyncProperty(story(honest, 40), async (drawn) => {
      const world = await live(drawn, true);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(3_400),
  );
}, 600_000);

test("L1 L2 L3 L4 L5 every launched task gets its slot, ends once, and is told once", async () => {
  await fc.assert(
    fc.asyncProperty(story(launches, 40), async (drawn) => {
      const world = await live(drawn, true);
      await judgeLaunched(world);
      await judgeEnd(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(5_000),
  );
}, 600_000);

test("G5 G7 G8 G9 G10 G11 a goal goes on when it may, and costs no more than it may", async () => {
  await fc.assert(
    fc.asyncProperty(story(pursuits, 40, pursuing), async (drawn) => {
      const world = await live(drawn, true);
      const { outage } = drawn.variant;
      if (outage === undefined) await judgeWaits(world);
      else await judgeOutage(world, outage);
      await judgeEnd(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(1_400),
  );
}, 600_000);

test("R1 R4 R5 R8 the turn of an `opencode run` is held for what is owed, and for nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(story(runs, 40, running), async (drawn) => {
      const world = await live(drawn, true);
      await judgeRun(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(800),
  );
}, 600_000);

test("I2 I4 I5 I7 whatever has happened, no goal waits for ever and nothing is left behind", async () => {
  await fc.assert(
    fc.asyncProperty(story(chaos, 40), async (drawn) => {
      const world = await live(drawn, false);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches.filter((breach) => !breach.startsWith("I3"))).toEqual([]);
    }),
    stories(3_600),
  );
}, 600_000);

test("I6 the recorded inputs make a fresh keeper do the same again", async () => {
  await fc.assert(
    fc.asyncProperty(story(chaos, 20), async (drawn) => {
      const world = await live(drawn, false);
      await world.clock.advance(200_000);
      judgeReplay(world);
      expect(world.book.breaches.filter((breach) => breach.startsWith("I6"))).toEqual([]);
    }),
    stories(2_000),
  );
}, 600_000);
