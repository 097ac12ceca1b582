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

test("an id sorts behind the newest message, also when the clock of its writer runs ahead", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff_fffe }), (stamp) => {
      const newest = `msg_${stamp.toString(16).padStart(12, "0")}zzzzzzzzzzzzzz`;
      expect(idsAt(1_795_252_097_243).message(newest) > newest).toBe(true);
    }),
  );
});

test("a newest message of another form is no obstacle", () => {
  expect(idsAt(1_795_252_097_243).message("msg_goal1")).toMatch(/^msg_[0-9a-f]{12}/);
});
