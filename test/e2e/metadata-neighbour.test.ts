import { afterAll, beforeAll, expect, test } from "bun:test";
import { COUNTING_NEIGHBOUR, counted, stopCounting } from "./counting-neighbour.ts";
import { COMPLETE, openStages, type Stage } from "./stage.ts";

const TURNS = 8;
const SESSIONS = 2;

let stage: Stage;

beforeAll(async () => {
  [stage] = await openStages([{ options: { no_progress_turns: 0 }, before: [COUNTING_NEIGHBOUR] }]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

test("what another plugin counts in the metadata without a pause never stays behind, and a goal goes to its end (U18)", async () => {
  const { directory } = stage.opencode;
  const replies = [...Array.from({ length: TURNS }, (_, turn) => `Turn ${turn}.`), COMPLETE, "Done."];
  const plays = await Promise.all(Array.from({ length: SESSIONS }, () => stage.play(replies)));
  await Promise.all(
    plays.map(async (play) => {
      await play.goal("live with a neighbour who counts");
      const { goal } = await play.untilGoal("complete");
      expect(goal?.turns).toBe(TURNS);
    }),
  );
  stopCounting(directory);
  for (const { id, until } of plays) {
    await until("the neighbour has stopped", () => counted(directory, id) !== undefined);
    const count = counted(directory, id);
    expect(count).toMatchObject({ stayed: 0 });
    expect(count?.writes).toBeGreaterThan(TURNS);
    const isThere = async () => (await stage.server.metadata(id)).neighbour === count?.writes;
    await until("its last count is there", isThere);
  }
});
