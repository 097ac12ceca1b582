/** Random stories in which the host fails, lies and loses events. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { chaos } from "./actions.ts";
import { judgeEnd, judgeReplay, judgeWaits } from "./judge.ts";
import { live, stories, story } from "./story.ts";

/**
 * What a host that lies can bring about: something told twice; and, as one story had it (statuses that were empty while the
 * session worked), a turn that is begun after it was given up, and that nobody counts.
 */
const BY_LIES = /^(I3|G8)/;

test("I2 I4 I5 I7 whatever has happened, no goal waits for ever and nothing is left behind", async () => {
  await fc.assert(
    fc.asyncProperty(story(chaos, 40), async (drawn) => {
      const world = await live(drawn, false);
      await judgeWaits(world);
      await judgeEnd(world);
      expect(world.book.breaches.filter((breach) => !BY_LIES.test(breach))).toEqual([]);
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
