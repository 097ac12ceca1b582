import { expect, test } from "bun:test";
import fc from "fast-check";
import { HostIds } from "../../src/host/message-id.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";

function idsAt(now: number): HostIds {
  return new HostIds(new SimulatedClock(now));
}

test("ids have the host's own format", () => {
  const ids = idsAt(1_795_252_097_243);
  expect(ids.message("")).toMatch(/^msg_1fd5d10db[0-9a-f]{3}[0-9A-Za-z]{14}$/);
  expect(ids.part()).toMatch(/^prt_[0-9a-f]{12}[0-9A-Za-z]{14}$/);
});

test("ids of one millisecond ascend", () => {
  const ids = idsAt(1_795_252_097_243);
  const made = Array.from({ length: 200 }, () => ids.message(""));
  expect([...made].sort()).toEqual(made);
  expect(new Set(made).size).toBe(200);
});

test("an id sorts behind the newest message, also when the clock of its writer runs ahead, a minute at most", () => {
  const now = 1_795_252_097_243;
  fc.assert(
    fc.property(fc.integer({ min: -(10 ** 9), max: 60_000 }), fc.nat(4_094), (ms, count) => {
      const stamp = ((now + ms) * 4096) % 2 ** 48;
      const newest = `msg_${(ms === 60_000 ? stamp : stamp + count).toString(16).padStart(12, "0")}zzzzzzzzzzzzzz`;
      expect(idsAt(now).message(newest) > newest).toBe(true);
    }),
  );
});

test("an id of another form, or of far ahead, moves none of ours (U17)", () => {
  const ids = idsAt(1_795_252_097_243);
  for (const foreign of ["msg_goal1", "msg_ffffffffffffzzzzzzzzzzzzzz", "msg_3ffffffffffffffffffffffffffff"]) {
    expect(ids.message(foreign)).toMatch(/^msg_1fd5d10db/);
    expect(ids.message("")).toMatch(/^msg_1fd5d10db/);
  }
});

test("they follow a clock that is set back, and 48 bits that begin again", () => {
  const over = 2 ** 36 * 27;
  let now = over - 1;
  const ids = new HostIds({ now: () => now, after: () => () => undefined });
  expect(ids.message("")).toMatch(/^msg_fffffffff8/);
  now = over + 5;
  expect(ids.message("")).toMatch(/^msg_000000005800/);
  now = over - 3_600_000;
  expect(ids.message("")).toMatch(/^msg_fffc91180800/);
});
