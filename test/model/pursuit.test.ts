/** Random stories of goals, and of `opencode run`. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { pursuits, runs } from "./actions.ts";
import { judgeEnd, judgeOutage, judgeRun, judgeWaits } from "./judge.ts";
import { live, pursuing, running, stories, story } from "./story.ts";

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
