/** What is owed to a session: random stories of background tasks. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { honest, launches } from "./actions.ts";
import { judgeEnd, judgeLaunched, judgeWaits } from "./judge.ts";
import { live, stories, story } from "./story.ts";

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
