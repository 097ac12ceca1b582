import fc from "fast-check";
import type { KeeperConfig } from "../../src/keeper/config.ts";
import type { ConcurrencyLimit } from "../../src/tasks/slots.ts";
import { type Action, act, begin } from "./actions.ts";
import { judgeDecision } from "./judge.ts";
import { CONFIG, World } from "./world.ts";

/** Short ceilings and windows: many of them fit into a story. */
const CONFIG_HERE = {
  ...CONFIG,
  timing: { ...CONFIG.timing, cleanupDelayMs: 60_000, ceilingMs: 120_000, staleMs: 60_000 },
  gate: { ...CONFIG.gate, maxTaskBlockMs: 120_000 },
  reportHoldMs: 120_000,
  limits: { budget: { turns: 3, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 0 },
};

/** What can be different from one story to the next: slots, and what the user's abort does to what we launched. */
const variants = fc.record({
  concurrency: fc.constantFrom<ConcurrencyLimit>(2, 2, 1, { "simulated/model": 1, acme: 2, "acme/small": 1 }),
  cancelOnInterrupt: fc.boolean(),
});

export interface Story {
  readonly variant: Pick<KeeperConfig, "concurrency" | "cancelOnInterrupt">;
  readonly actions: readonly Action[];
}

export function story(action: fc.Arbitrary<Action>, length: number): fc.Arbitrary<Story> {
  return fc.record({
    variant: variants,
    actions: fc.array(action, { minLength: 5, maxLength: length, size: "max" }),
  });
}

/** `judgesOwed`: nobody lies, and nothing is withheld of which it depends what is owed. */
export async function live({ actions, variant }: Story, judgesOwed: boolean): Promise<World> {
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
