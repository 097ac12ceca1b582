import { expect, test } from "bun:test";
import type { TurnEvent } from "../../src/host/port.ts";
import { announceTurn, claim, enlist, exclusively, onTurn, registry } from "../../src/host/registry.ts";

test("the first claim of a directory wins until it is released (S1)", () => {
  const release = claim("/registry-test", "one");
  expect(release).toBeFunction();
  expect(claim("/registry-test", "two")).toBeUndefined();
  release?.();
  const next = claim("/registry-test", "two");
  // A late release of an earlier owner takes nothing from the present one.
  release?.();
  expect(claim("/registry-test", "three")).toBeUndefined();
  next?.();
});

test("an instance lives from its enlisting to its end, whether or not it has a directory", () => {
  const delist = enlist("one");
  enlist("two");
  expect([...registry().instances]).toEqual(expect.arrayContaining(["one", "two"]));
  delist();
  expect(registry().instances.has("one")).toBe(false);
  expect(registry().instances.has("two")).toBe(true);
});

test("two instances never write into one session at the same moment, also when one of them fails", async () => {
  const seen: string[] = [];
  const work =
    (name: string, fails = false) =>
    async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const first = exclusively("ses_1", work("first", true));
  const second = exclusively("ses_1", work("second"));
  const elsewhere = exclusively("ses_2", work("elsewhere"));
  await expect(first).rejects.toThrow("first");
  expect(await second).toBe("second");
  expect(await elsewhere).toBe("elsewhere");
  expect(seen.filter((step) => !step.startsWith("elsewhere"))).toEqual([
    "first begins",
    "first ends",
    "second begins",
    "second ends",
  ]);
  expect(seen.indexOf("elsewhere begins")).toBeLessThan(seen.indexOf("first ends"));
  expect(registry().writes.size).toBe(0);
});

test("a turn that one instance holds is known to the others, each until it has stopped listening", () => {
  const held: TurnEvent = { type: "turn-held", sessionID: "ses_1", messageID: "msg_1", readID: "msg_0" };
  const goesOn: TurnEvent = { type: "turn-goes-on", sessionID: "ses_1" };
  const heard: string[] = [];
  const deafen = ["one", "two"].map((name) => onTurn((event) => heard.push(`${name} ${event.type}`)));
  announceTurn(held);
  deafen[0]?.();
  announceTurn(goesOn);
  deafen[0]?.();
  deafen[1]?.();
  announceTurn(held);
  expect(heard).toEqual(["one turn-held", "two turn-held", "two turn-goes-on"]);
  expect(registry().turns.size).toBe(0);
});

test("who stops listening while a turn is announced takes nothing from the others", () => {
  const heard: string[] = [];
  const deafenFirst = onTurn(() => {
    heard.push("first");
    deafenFirst();
    deafenSecond();
  });
  const deafenSecond = onTurn(() => heard.push("second"));
  announceTurn({ type: "turn-goes-on", sessionID: "ses_1" });
  announceTurn({ type: "turn-goes-on", sessionID: "ses_1" });
  expect(heard).toEqual(["first", "second"]);
});
