/** One story of `npm run storm`: see scripts/storm.ts. */
import { expect, test } from "bun:test";
import { playStory } from "../../scripts/storm/story.ts";
import { WAIT_MS } from "./limits.ts";

test("two goals with tasks, killed twice, are complete in the end, and every task was told once (M6, M10)", async () => {
  const story = await playStory({ seed: 3, kills: 2, acts: 0, goals: 2, limitMs: WAIT_MS });
  expect(story.breaches.length === 0 ? "" : story.report).toBe("");
  expect(story.kills).toBeGreaterThan(0);
  expect(story.tasks).toBeGreaterThan(0);
});
