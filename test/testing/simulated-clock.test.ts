import { expect, test } from "bun:test";
import { SimulatedClock, TimerStormError } from "../../src/testing/simulated-clock.ts";

test("timers ring in the order of their deadlines, those of one moment in the order of their setting", async () => {
  const clock = new SimulatedClock(1_000);
  const rung: string[] = [];
  clock.after(20, () => rung.push("late"));
  clock.after(10, () => rung.push("first"));
  clock.after(10, () => rung.push("second"));
  await clock.advance(10);
  expect(rung).toEqual(["first", "second"]);
  expect([clock.now(), clock.pending()]).toEqual([1_010, 1]);
});

test("what a ring settles runs to its end before the next ring", async () => {
  const clock = new SimulatedClock();
  const seen: string[] = [];
  const resolvers: (() => void)[] = [];
  const work = new Promise<void>((resolve) => resolvers.push(resolve)).then(async () => {
    await Promise.resolve();
    seen.push("effect");
  });
  clock.after(1, () => resolvers[0]?.());
  clock.after(2, () => seen.push("next"));
  await clock.advance(5);
  await work;
  expect(seen).toEqual(["effect", "next"]);
});

test("a cancelled timer does not ring and is not counted", async () => {
  const clock = new SimulatedClock();
  const cancel = clock.after(1, () => {
    throw new Error("rang");
  });
  cancel();
  await clock.advance(10);
  expect(clock.pending()).toBe(0);
});

test("a timer that always sets another one for now is an error and not an endless test", async () => {
  const clock = new SimulatedClock();
  const again = () => {
    clock.after(0, again);
  };
  again();
  const outcome = await clock.advance(1).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(TimerStormError);
});
