import { beforeEach, describe, expect, test } from "bun:test";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { Alarm } from "../../src/time/alarm.ts";
import { T0 } from "../support/builders.ts";

const LONGEST_TIMER_MS = 2_147_483_647;

let clock: SimulatedClock;
let alarm: Alarm;
let rings: number[];

beforeEach(() => {
  clock = new SimulatedClock(T0);
  rings = [];
  alarm = new Alarm(clock, () => rings.push(clock.now()));
});

describe("an armed alarm", () => {
  test("rings once, at its deadline", async () => {
    alarm.arm(T0 + 1_000);
    expect(alarm.armed).toBe(true);
    await clock.advance(999);
    expect(rings).toEqual([]);
    await clock.advance(10_000);
    expect(rings).toEqual([T0 + 1_000]);
    expect(alarm.armed).toBe(false);
  });

  test("rings at once for a deadline that has passed", async () => {
    alarm.arm(T0 - 1_000);
    await clock.advance(0);
    expect(rings).toEqual([T0]);
  });

  test("never has more than one timer: the deadline named last counts, earlier or later", async () => {
    for (const deadline of [T0 + 3_000, T0 + 1_000, T0 + 2_000]) alarm.arm(deadline);
    expect(clock.pending()).toBe(1);
    await clock.advance(10_000);
    expect(rings).toEqual([T0 + 2_000]);
  });

  test("is left alone by the same deadline", () => {
    let armed = 0;
    const after = () => {
      armed++;
      return () => undefined;
    };
    const counting = new Alarm({ now: () => T0, after }, () => undefined);
    counting.arm(T0 + 1_000);
    counting.arm(T0 + 1_000);
    expect(armed).toBe(1);
  });

  test("can be armed again for the same deadline after it rang", async () => {
    alarm.arm(T0);
    await clock.advance(0);
    alarm.arm(T0);
    await clock.advance(0);
    expect(rings).toEqual([T0, T0]);
  });

  test("can be armed from its own ring", async () => {
    const again: Alarm = new Alarm(clock, () => {
      rings.push(clock.now());
      if (rings.length < 3) again.arm(clock.now() + 100);
    });
    again.arm(T0 + 100);
    await clock.advance(1_000);
    expect(rings).toEqual([T0 + 100, T0 + 200, T0 + 300]);
    expect(again.armed).toBe(false);
  });
});

describe("an alarm that waits for nothing", () => {
  test("has no timer: before it is armed, armed for ever, and cleared", async () => {
    expect([alarm.armed, clock.pending()]).toEqual([false, 0]);
    alarm.arm(T0 + 1_000);
    alarm.arm(Number.POSITIVE_INFINITY);
    expect([alarm.armed, clock.pending()]).toEqual([false, 0]);
    alarm.arm(T0 + 1_000);
    alarm.clear();
    expect([alarm.armed, clock.pending()]).toEqual([false, 0]);
    await clock.advance(10_000);
    expect(rings).toEqual([]);
  });

  test("can be armed again for the deadline that was cleared", async () => {
    alarm.arm(T0 + 1_000);
    alarm.clear();
    alarm.arm(T0 + 1_000);
    await clock.advance(1_000);
    expect(rings).toEqual([T0 + 1_000]);
  });
});

test("a deadline beyond what a timer can hold rings early, and its owner arms it again", async () => {
  const far = T0 + 3 * LONGEST_TIMER_MS;
  alarm.arm(far);
  expect(clock.nextAt).toBe(T0 + LONGEST_TIMER_MS);
  await clock.advance(LONGEST_TIMER_MS);
  expect(rings).toHaveLength(1);
  alarm.arm(far);
  expect(clock.pending()).toBe(1);
});
