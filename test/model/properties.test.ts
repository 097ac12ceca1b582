/**
 * Random stories against the invariants I1–I7 (see judge.ts and book.ts): 21,000 of them, the same ones every time.
 * GOALKEEPER_RUNS multiplies their number and draws others: GOALKEEPER_RUNS=50 is a night's work. fast-check prints the
 * seed of a story that fails, and the shortest story like it; GOALKEEPER_SEED draws the stories of a seed again.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Action, act, begin, chaos, honest } from "./actions.ts";
import { judgeDecision, judgeEnd, judgeReplay, judgeWaits } from "./judge.ts";
import { CONFIG, World } from "./world.ts";

/** Short ceilings and windows: many of them fit into a story. */
const CONFIG_HERE = {
  ...CONFIG,
  timing: { ...CONFIG.timing, cleanupDelayMs: 60_000, ceilingMs: 120_000 },
  gate: { ...CONFIG.gate, maxTaskBlockMs: 120_000 },
  reportHoldMs: 120_000,
  limits: { maxAutoTurns: 3, maxPromptFailures: 3, noProgressTurns: 0 },
};

function stories(numRuns: number): fc.Parameters<unknown> {
  const { GOALKEEPER_RUNS: runs, GOALKEEPER_SEED: seed } = process.env;
  const fixed = runs === undefined ? { seed: 20_261_121 } : {};
  return { numRuns: Math.ceil(numRuns * Number(runs ?? 1)), ...(seed === undefined ? fixed : { seed: Number(seed) }) };
}

function story(action: fc.Arbitrary<Action>, length: number): fc.Arbitrary<Action[]> {
  return fc.array(action, { minLength: 5, maxLength: length, size: "max" });
}

async function live(actions: readonly Action[], judgesOwed: boolean): Promise<World> {
  const world = new World({ config: CONFIG_HERE });
  world.book.judgesOwed = judgesOwed;
  await begin(world);
  for (const action of actions) {
    await act(world, action);
    judgeDecision(world);
  }
  return world;
}

test("I1 I3 I4 I7 nothing is sent while anything is owed, and every outcome is told once", async () => {
  await fc.assert(
    fc.asyncProperty(story(honest, 40), async (actions) => {
      const world = await live(actions, true);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(9_000),
  );
}, 600_000);

test("I2 I4 I5 I7 whatever has happened, no goal waits for ever and nothing is left behind", async () => {
  await fc.assert(
    fc.asyncProperty(story(chaos, 40), async (actions) => {
      const world = await live(actions, false);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches.filter((breach) => !breach.startsWith("I3"))).toEqual([]);
    }),
    stories(8_000),
  );
}, 600_000);

test("I6 the recorded inputs make a fresh keeper do the same again", async () => {
  await fc.assert(
    fc.asyncProperty(story(chaos, 20), async (actions) => {
      const world = await live(actions, false);
      await world.clock.advance(200_000);
      judgeReplay(world);
      expect(world.book.breaches.filter((breach) => breach.startsWith("I6"))).toEqual([]);
    }),
    stories(4_000),
  );
}, 600_000);
