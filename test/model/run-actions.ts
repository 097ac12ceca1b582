import fc from "fast-check";
import { actOnGoal } from "./goal-actions.ts";
import { RunHost } from "./run-host.ts";
import type { World } from "./world.ts";

/** What happens in `opencode run` and nowhere else. */
export type RunAction =
  /** The next process, in the same session: with a prompt, or with the command. */
  | { readonly do: "run-again"; readonly say: "prompt" | "resume" | "make it work" | "status" }
  /** The agent says something before it calls a tool. */
  | { readonly do: "run-speaks"; readonly afterMs: number }
  /** It ends its turn without a word. */
  | { readonly do: "run-silent" }
  | { readonly do: "run-compacts" };

export const runActions: fc.Arbitrary<RunAction> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("run-again" as const),
      say: fc.constantFrom("prompt" as const, "resume" as const, "make it work" as const, "status" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("run-speaks" as const), afterMs: fc.constantFrom(0, 1, 5, 3_000) }),
  },
  { weight: 2, arbitrary: fc.constant<RunAction>({ do: "run-silent" }) },
  { weight: 1, arbitrary: fc.constant<RunAction>({ do: "run-compacts" }) },
);

export async function actInRun(world: World, root: string | undefined, action: RunAction): Promise<void> {
  const { host } = world;
  if (!(host instanceof RunHost) || root === undefined) return;
  switch (action.do) {
    case "run-again":
      return again(world, root, action.say);
    case "run-speaks": {
      if (!host.hasTurn(root) || host.isEnding(root)) return;
      host.speaks(root);
      await world.clock.advance(action.afterMs);
      if (host.hasTurn(root)) host.toolCall(root);
      return world.clock.settle();
    }
    case "run-silent":
      if (!host.isHeldByTask(root) && !world.tools.holds(root)) host.finishTurn(root, "");
      return world.clock.settle();
    case "run-compacts":
      if (!host.isHeldByTask(root) && !world.tools.holds(root)) host.compactDuringTurn(root);
      return world.clock.settle();
  }
}

async function again(world: World, root: string, say: string): Promise<void> {
  if (world.process !== "over") return;
  await world.runsAgain();
  if (say === "prompt") world.host.userSays(root, "go on");
  else actOnGoal(world, root, { do: "goal", say });
  await world.clock.settle();
}
