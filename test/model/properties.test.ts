/**
 * Random stories against the invariants I1–I7 (see judge.ts and book.ts) and L1–L5 (see ledger.ts): 16,000 of them, the
 * same ones every time.
 * GOALKEEPER_RUNS multiplies their number and draws others: GOALKEEPER_RUNS=50 is a night's work. fast-check prints the
 * seed of a story that fails, and the shortest story like it; GOALKEEPER_SEED draws the stories of a seed again.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { KeeperConfig } from "../../src/keeper/config.ts";
import type { ConcurrencyLimit } from "../../src/tasks/slots.ts";
import { type Action, act, begin, chaos, honest, launches } from "./actions.ts";
import { judgeDecision, judgeEnd, judgeLaunched, judgeReplay, judgeWaits } from "./judge.ts";
import { CONFIG, World } from "./world.ts";

/** Short ceilings and windows: many of them fit into a story. */
const CONFIG_HERE = {
  ...CONFIG,
  timing: { ...CONFIG.timing, cleanupDelayMs: 60_000, ceilingMs: 120_000, staleMs: 60_000 },
  gate: { ...CONFIG.gate, maxTaskBlockMs: 120_000 },
  reportHoldMs: 120_000,
  limits: { maxAutoTurns: 3, maxPromptFailures: 3, noProgressTurns: 0 },
};

function stories(numRuns: number): fc.Parameters<unknown> {
  const { GOALKEEPER_RUNS: runs, GOALKEEPER_SEED: seed } = process.env;
  const fixed = runs === undefined ? { seed: 20_261_121 } : {};
  return { numRuns: Math.ceil(numRuns * Number(runs ?? 1)), ...(seed === undefined ? fixed : { seed: Number(seed) }) };
}

/** What can be different from one story to the next: slots, and what the user's abort does to what we launched. */
const variants = fc.record({
  concurrency: fc.constantFrom<ConcurrencyLimit>(2, 2, 1, { "simulated/model": 1, acme: 2, "acme/small": 1 }),
  cancelOnInterrupt: fc.boolean(),
});

interface Story {
  readonly variant: Pick<KeeperConfig, "concurrency" | "cancelOnInterrupt">;
  readonly actions: readonly Action[];
}

function story(action: fc.Arbitrary<Action>, length: number): fc.Arbitrary<Story> {
  return fc.record({
    variant: variants,
    actions: fc.array(action, { minLength: 5, maxLength: length, size: "max" }),
  });
}

async function live({ actions, variant }: Story, judgesOwed: boolean): Promise<World> {
  const world = new World({ config: { ...CONFIG_HERE, ...variant } });
  world.book.judgesOwed = judgesOwed;
  await begin(world);
  for (const action of actions) {
    await act(world, action);
    judgeDecision(world);
    world.ledger.judgeEnds();
  }
  return world;
}

test("I1 I3 I4 I7 L1 L2 L3 L4 L5 nothing is sent while anything is owed, and every outcome is told once", async () => {
  await fc.assert(
    fc.asyncProperty(story(honest, 40), async (drawn) => {
      const world = await live(drawn, true);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches).toEqual([]);
    }),
    stories(4_000),
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
    stories(6_000),
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
    stories(4_000),
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
