import { describe, expect, test } from "bun:test";
import { Interrupter } from "../../src/cli/interrupter.ts";
import type { Client } from "../../src/host/client.ts";
import { stateOf } from "../../src/session-tree/state.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { busy, idle, RESTED, session, story } from "../session-tree/stories.ts";
import { CHILD, ROOT, T0 } from "../support/builders.ts";

function begin() {
  const clock = new SimulatedClock(T0);
  const aborted: string[] = [];
  const abort = ({ path }: { path: { id: string } }) => {
    aborted.push(path.id);
    return Promise.resolve({ data: true });
  };
  let givenUpAt: number | undefined;
  const client = { session: { abort } } as unknown as Client;
  const interrupter = new Interrupter(client, ROOT, clock, () => {
    givenUpAt ??= clock.now();
  });
  return { clock, aborted, interrupter, givenUpAt: () => givenUpAt };
}

const working = story([session(CHILD, ROOT), busy(CHILD)], story(RESTED));
const state = (tree = working) => stateOf(tree, T0);

describe("an interrupt from outside", () => {
  test("does nothing before it is wished", () => {
    const { aborted, interrupter } = begin();
    interrupter.changed(state());
    expect(aborted).toEqual([]);
  });

  test("aborts the root first, then what works below it, and is over when nothing has worked for a second", async () => {
    const { aborted, clock, givenUpAt, interrupter } = begin();
    interrupter.changed(state());
    interrupter.begin();
    await clock.settle();
    expect(aborted).toEqual([ROOT, CHILD]);
    interrupter.changed(state(story([idle(CHILD)], working)));
    await clock.advance(999);
    expect(givenUpAt()).toBeUndefined();
    await clock.advance(1);
    expect(givenUpAt()).toBe(T0 + 1_000);
  });

  test("aborts a root that the end of its task has woken", async () => {
    const { aborted, clock, interrupter } = begin();
    interrupter.changed(state(story(RESTED)));
    interrupter.begin();
    await clock.settle();
    interrupter.changed(state(story([busy(ROOT)], story(RESTED))));
    expect(aborted).toEqual([ROOT, ROOT]);
  });

  test("gives up on a session that does not stop, after ten seconds", async () => {
    const { aborted, clock, givenUpAt, interrupter } = begin();
    interrupter.begin();
    for (let change = 0; change < 20; change++) {
      interrupter.changed(state());
      await clock.settle();
    }
    expect(aborted.filter((id) => id === CHILD)).toHaveLength(5);
    await clock.advance(10_000);
    expect(givenUpAt()).toBe(T0 + 10_000);
  });
});
