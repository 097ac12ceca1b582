import fc from "fast-check";
import type { KeeperConfig } from "../../src/keeper/config.ts";
import type { ConcurrencyLimit } from "../../src/tasks/slots.ts";
import { CONFIG } from "../support/keeper-config.ts";
import { type Action, act, begin } from "./actions.ts";
import { judgeDecision } from "./judge.ts";
import type { MishapName } from "./provider-errors.ts";
import { World } from "./world.ts";

/** Short ceilings and windows: many of them fit into a story. */
const CONFIG_HERE = {
  ...CONFIG,
  timing: { ...CONFIG.timing, cleanupDelayMs: 60_000, ceilingMs: 120_000, staleMs: 60_000 },
  gate: { ...CONFIG.gate, maxTaskBlockMs: 120_000 },
  reportHoldMs: 120_000,
  limits: { budget: { turns: 3, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 0 },
};

/** What can be different from one story to the next: the options. */
export interface Variant extends Pick<KeeperConfig, "concurrency" | "cancelOnInterrupt" | "run"> {
  readonly autoContinue?: boolean;
  readonly noProgressTurns?: number;
  /** How every turn of the root fails when the story is over. */
  readonly outage?: MishapName | undefined;
  /** Of `opencode run`: whether there is a goal from the beginning. */
  readonly hasGoal?: boolean;
}

const slots = {
  concurrency: fc.constantFrom<ConcurrencyLimit>(2, 2, 1, { "simulated/model": 1, acme: 2, "acme/small": 1 }),
  cancelOnInterrupt: fc.boolean(),
};
export const usual: fc.Arbitrary<Variant> = fc.record(slots);
export const pursuing: fc.Arbitrary<Variant> = fc.record({
  ...slots,
  autoContinue: fc.constantFrom(...Array.from({ length: 11 }, () => true), false),
  noProgressTurns: fc.constantFrom(0, 2),
  outage: fc.constantFrom(undefined, undefined, undefined, "server error", "usage limit", "plan used up", "bad key"),
});

export const running: fc.Arbitrary<Variant> = fc.record({
  ...slots,
  hasGoal: fc.boolean(),
  noProgressTurns: fc.constantFrom(0, 0, 2),
  run: fc.record({
    waits: fc.constantFrom(true, true, true, true, false),
    ceilingMs: fc.constantFrom(60_000, 400_000, Number.POSITIVE_INFINITY),
  }),
});

export interface Story {
  readonly variant: Variant;
  readonly actions: readonly Action[];
}

/**
 * Random stories against the invariants I1–I7 (see judge.ts and book.ts), L1–L5 (ledger.ts), G1–G11 (pursuit.ts) and
 * R1–R8 (run-judge.ts): 16,200 of them, the same ones every time, in owed.test.ts, pursuit.test.ts and chaos.test.ts.
 * GOALKEEPER_RUNS multiplies their number and draws others: GOALKEEPER_RUNS=50 is a night's work. fast-check prints the
 * seed of a story that fails, and the shortest story like it; GOALKEEPER_SEED draws the stories of a seed again.
 */
export function stories(numRuns: number): fc.Parameters<unknown> {
  const { GOALKEEPER_RUNS: runs, GOALKEEPER_SEED: seed } = process.env;
  const fixed = runs === undefined ? { seed: 20_261_121 } : {};
  return { numRuns: Math.ceil(numRuns * Number(runs ?? 1)), ...(seed === undefined ? fixed : { seed: Number(seed) }) };
}

export function story(action: fc.Arbitrary<Action>, length: number, variant = usual): fc.Arbitrary<Story> {
  return fc.record({
    variant,
    actions: fc.array(action, { minLength: 5, maxLength: length, size: "max" }),
  });
}

export function configOf({
  autoContinue = true,
  noProgressTurns = 0,
  hasGoal: _,
  outage: __,
  ...variant
}: Variant): KeeperConfig {
  const { gate, limits } = CONFIG_HERE;
  return { ...CONFIG_HERE, ...variant, gate: { ...gate, autoContinue }, limits: { ...limits, noProgressTurns } };
}

/** `judgesOwed`: nobody lies, and nothing is withheld of which it depends what is owed. */
export async function live({ actions, variant }: Story, judgesOwed: boolean): Promise<World> {
  const world = new World({ config: configOf(variant) });
  world.book.judgesOwed = judgesOwed;
  await begin(world, variant.hasGoal);
  for (const action of actions) {
    await act(world, action);
    world.runJudge.judge();
    judgeDecision(world);
    world.ledger.judgeEnds();
  }
  return world;
}
