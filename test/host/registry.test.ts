import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TurnEvent } from "../../src/host/port.ts";
import {
  announceTurn,
  beFirst,
  enlist,
  exclusively,
  firstCopy,
  type Holdings,
  holdings,
  onTurn,
  registry,
} from "../../src/host/registry.ts";

describe("copies of the plugin", () => {
  const copy = () => ({ tools: () => ({}), run: async () => "" });

  test("the first one that was given a client is found by it, until it ends (S1)", () => {
    const [client, other, first] = [{}, {}, copy()];
    expect(firstCopy(client)).toBeUndefined();
    const end = beFirst(client, first);
    expect(firstCopy(client)).toBe(first);
    expect(firstCopy(other)).toBeUndefined();
    end();
    expect(firstCopy(client)).toBeUndefined();
  });

  test("a late end of an earlier one takes nothing from the present one", () => {
    const [client, next] = [{}, copy()];
    const endFirst = beFirst(client, copy());
    beFirst(client, next);
    endFirst();
    expect(firstCopy(client)).toBe(next);
  });
});

describe("two instances in one process", () => {
  let taken: string[];
  let one: Holdings;
  let two: Holdings;

  beforeEach(() => {
    taken = [];
    [one, two] = ["one", "two"].map((name) => holdings("key", (rootID) => taken.push(`${name} ${rootID}`))) as [
      Holdings,
      Holdings,
    ];
  });

  afterEach(() => {
    one.end();
    two.end();
    expect(registry().holders.size).toBe(0);
  });

  test("a root is held by the one that took it last, and the other one is told (U11)", () => {
    expect(one.take("ses_1")).toBe(false);
    expect([one.isOurs("ses_1"), two.isElsewhere("ses_1")]).toEqual([true, true]);
    expect(two.take("ses_1")).toBe(true);
    expect([one.isOurs("ses_1"), one.isElsewhere("ses_1"), two.isOurs("ses_1")]).toEqual([false, true, true]);
    expect(taken).toEqual(["one ses_1"]);
  });

  test("to take what is held already says nothing to anybody", () => {
    one.take("ses_1");
    expect(one.take("ses_1")).toBe(false);
    expect(taken).toEqual([]);
  });

  test("a root is nobody's when who held it lets go or ends, and no other one's is let go with it", () => {
    one.take("ses_1");
    one.take("ses_2");
    two.take("ses_2");
    one.release("ses_2");
    expect(two.isOurs("ses_2")).toBe(true);
    one.end();
    expect([two.isElsewhere("ses_1"), two.isOurs("ses_2")]).toEqual([false, true]);
  });

  test("managers with books of their own hold a root side by side", () => {
    const third = holdings("another key", () => taken.push("third"));
    one.take("ses_1");
    expect(third.isElsewhere("ses_1")).toBe(false);
    expect(third.take("ses_1")).toBe(false);
    expect(one.isOurs("ses_1")).toBe(true);
    third.end();
  });
});

test("an instance lives from its enlisting to its end", () => {
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
