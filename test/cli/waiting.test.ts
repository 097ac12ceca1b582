import { describe, expect, test } from "bun:test";
import { Waiting } from "../../src/cli/waiting.ts";
import { progressLines } from "../../src/cli/words.ts";
import { stub } from "../../src/keeper/stored-root.ts";
import { stateOf } from "../../src/session-tree/state.ts";
import type { TreeEvent } from "../../src/session-tree/tree.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { books, busy, idle, RESTED, session, story } from "../session-tree/stories.ts";
import { aGoal, aTask, CHILD, ROOT, T0 } from "../support/builders.ts";

function begin() {
  const clock = new SimulatedClock(T0);
  const lines: string[] = [];
  const waits: string[][] = [];
  const waiting = new Waiting(clock, (event) => {
    waits.push(event.for.map(({ why, sessionID }) => `${why} ${sessionID}`));
    lines.push(...progressLines(event, T0));
  });
  let tree = story(RESTED);
  const happens = (...events: readonly TreeEvent[]) => {
    tree = story(events, tree);
    waiting.changed(stateOf(tree, T0));
  };
  return { clock, happens, lines, waiting, waits };
}

const WORKS = [session(CHILD, ROOT), busy(CHILD)];

describe("what an idle session waits for", () => {
  test("is told once it has lasted a second, and when it is over", async () => {
    const { clock, happens, waits } = begin();
    happens(...WORKS);
    await clock.advance(999);
    expect(waits).toEqual([]);
    await clock.advance(1);
    happens(idle(CHILD));
    expect(waits).toEqual([[`session-busy ${CHILD}`], []]);
  });

  test("is no news when it is over sooner", async () => {
    const { clock, happens, waits } = begin();
    happens(...WORKS);
    happens(idle(CHILD));
    await clock.advance(5_000);
    expect(waits).toEqual([]);
  });

  test("is nothing while the agent works itself", async () => {
    const { clock, happens, waits } = begin();
    happens(busy(ROOT), ...WORKS);
    await clock.advance(5_000);
    expect(waits).toEqual([]);
  });

  test("names a task that works by the books once", async () => {
    const { clock, happens, lines } = begin();
    happens(...WORKS, session(ROOT, undefined, books({ tasks: [stub(aTask())] })));
    await clock.advance(1_000);
    expect(lines).toEqual([`waiting for task "look at the tests"`]);
  });

  test("says how long it takes at most", async () => {
    const { clock, happens, lines } = begin();
    happens(session(ROOT, undefined, books({ goal: aGoal() })));
    await clock.advance(1_000);
    expect(lines).toEqual(["waiting for the next turn of the goal (at most 15s more)"]);
  });

  test("is nothing any more once the agent is being interrupted", async () => {
    const { clock, happens, waiting, waits } = begin();
    happens(...WORKS);
    waiting.end();
    happens(session("ses_other", ROOT), busy("ses_other"));
    await clock.advance(5_000);
    expect(waits).toEqual([]);
  });
});
