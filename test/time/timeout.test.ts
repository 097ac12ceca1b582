import { beforeEach, describe, expect, test } from "bun:test";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { TimeoutError, withTimeout } from "../../src/time/timeout.ts";

let clock: SimulatedClock;

beforeEach(() => {
  clock = new SimulatedClock();
});

/** A promise that a test settles by hand. */
function aCall() {
  return Promise.withResolvers<string>();
}

describe("a call with a bound", () => {
  test("gives what the call gives, and leaves no timer behind", async () => {
    const call = aCall();
    const bounded = withTimeout("session.status", call.promise, 5_000, clock);
    expect(clock.pending()).toBe(1);
    call.resolve("busy");
    expect(await bounded).toBe("busy");
    expect(clock.pending()).toBe(0);
  });

  test("fails as the call fails, with the very same error, and leaves no timer behind", async () => {
    const call = aCall();
    const error = new Error("refused");
    const bounded = withTimeout("session.status", call.promise, 5_000, clock);
    call.reject(error);
    expect(await bounded.catch((caught: unknown) => caught)).toBe(error);
    expect(clock.pending()).toBe(0);
  });

  test("fails when its time is over, and says what did not answer, and how long it had", async () => {
    const outcome = withTimeout("session.status", aCall().promise, 5_000, clock).catch((caught: unknown) => caught);
    await clock.advance(5_000);
    const error = await outcome;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ name: "TimeoutError", what: "session.status", timeoutMs: 5_000 });
    expect((error as TimeoutError).message).toBe("session.status did not answer within 5000 ms");
  });

  test("does not fail a moment before", async () => {
    const call = aCall();
    const bounded = withTimeout("session.status", call.promise, 5_000, clock);
    await clock.advance(4_999);
    call.resolve("just in time");
    expect(await bounded).toBe("just in time");
  });

  test("an answer or an error that comes too late is nobody's: nothing is left unhandled", async () => {
    for (const end of ["resolve", "reject"] as const) {
      const call = aCall();
      const outcome = withTimeout("session.status", call.promise, 1, clock).catch((caught: unknown) => caught);
      await clock.advance(1);
      call[end]("late");
      await clock.settle();
      expect(await outcome).toBeInstanceOf(TimeoutError);
    }
  });
});
