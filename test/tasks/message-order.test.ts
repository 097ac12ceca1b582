import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { HostEvent } from "../../src/host/port.ts";
import { MessageOrder } from "../../src/tasks/message-order.ts";
import { ROOT, T0 } from "../support/builders.ts";

const MINUTE = 60_000;

/** An id of OpenCode's own form, made at a moment. */
function madeAt(ms: number, count = 1): string {
  return `msg_${((ms * 4096 + count) % 2 ** 48).toString(16).padStart(12, "0")}${"x".repeat(14)}`;
}

class Session {
  now = T0;
  readonly order = new MessageOrder(() => this.now);

  hears(...ids: readonly string[]): this {
    for (const id of ids) this.order.heard(ROOT, id);
    return this;
  }

  /** These ids, the earliest first. */
  sorted(...ids: readonly string[]): readonly string[] {
    return ids.toSorted((one, other) => {
      if (this.order.isBefore(ROOT, one, other)) return -1;
      return this.order.isBefore(ROOT, other, one) ? 1 : 0;
    });
  }
}

describe("the order of a session's messages", () => {
  test("two ids of OpenCode's own form tell it by their spelling, heard or not", () => {
    const [first, second, third] = [madeAt(T0 - MINUTE), madeAt(T0, 1), madeAt(T0, 2)];
    expect(new Session().sorted(third, first, second)).toEqual([first, second, third]);
    expect(new Session().hears(third, second, first).sorted(third, first, second)).toEqual([first, second, third]);
  });

  test.each([
    ["a word", "msg_user1"],
    ["one that is low by its spelling", "msg_!"],
    ["a UUID", "msg_6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
    ["a UUID without a prefix", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
    ["hex digits, and more behind them than OpenCode has", "msg_6ba7b8109dad11d180b400c04fd430c8"],
    ["high hex digits", "msg_ffffffffffffxxxxxxxxxxxxxx"],
    ["one that is made an hour ahead of our clock", madeAt(T0 + 60 * MINUTE)],
  ])("an id of another form stands where it was first heard: %s", (_form, id) => {
    const [before, after] = [madeAt(T0, 1), madeAt(T0, 2)];
    const session = new Session().hears(before, id, after, id);
    expect(session.sorted(after, id, before)).toEqual([before, id, after]);
    // What OpenCode publishes again, and what others say since, moves nothing.
    session.now += 2 * 60 * MINUTE;
    session.hears(id, before, "msg_later");
    expect(session.sorted("msg_later", after, id, before)).toEqual([before, id, after, "msg_later"]);
  });

  test("of several they stand in the order of their arrival", () => {
    const ids = ["msg_c", "msg_a", "msg_b", "msg_aa"];
    expect(new Session().hears(...ids).sorted(...ids.toSorted())).toEqual(ids);
  });

  test("the clock of a client may be ahead a minute: what it has made is later all the same", () => {
    const ahead = madeAt(T0 + MINUTE - 1);
    const session = new Session().hears(ahead, "msg_user1");
    expect(session.sorted("msg_user1", madeAt(T0), ahead)).toEqual([madeAt(T0), ahead, "msg_user1"]);
  });

  test("none comes before all, and an id that nobody has heard before those that were", () => {
    const session = new Session().hears("msg_heard");
    expect(session.order.isBefore(ROOT, "", "msg_heard")).toBe(true);
    expect(session.order.isBefore(ROOT, "msg_stored", "msg_heard")).toBe(true);
    expect(session.order.isBefore(ROOT, "msg_heard", "msg_stored")).toBe(false);
    expect(session.order.isBefore(ROOT, "msg_stored", "msg_stored")).toBe(false);
  });

  test("what an old answer belongs to is not new, though it was not heard before", () => {
    const [answer, later] = [madeAt(T0 - MINUTE), madeAt(T0)];
    const session = new Session().hears(later);
    const ended = { summary: false, completedAt: T0, error: undefined, usage: undefined };
    const event: HostEvent = {
      type: "assistant-message",
      sessionID: ROOT,
      messageID: answer,
      parentID: "msg_u",
      ...ended,
    };
    session.order.hear(event);
    expect(session.sorted(later, answer, "msg_u")).toEqual(["msg_u", answer, later]);
  });

  test.each([
    ["of OpenCode's own form", madeAt(T0 - 2 * MINUTE)],
    ["of another form", "msg_ffffffffffffxxxxxxxxxxxxxx"],
  ])("what the books name since a moment comes before what is heard from now on: an id %s", (_form, id) => {
    const session = new Session();
    session.order.known(ROOT, id, T0 - MINUTE);
    session.hears("msg_user1", madeAt(T0), "msg_user2");
    expect(session.sorted("msg_user2", madeAt(T0), "msg_user1", id)).toEqual([
      id,
      "msg_user1",
      madeAt(T0),
      "msg_user2",
    ]);
    expect(session.order.isBefore(ROOT, madeAt(T0 - 3 * MINUTE), id)).toBe(true);
  });

  test("what the books name stays where it was heard", () => {
    const session = new Session().hears("msg_user1", madeAt(T0 - 2 * MINUTE), "msg_user2");
    session.order.known(ROOT, "msg_user1", T0);
    expect(session.sorted("msg_user2", "msg_user1")).toEqual(["msg_user1", "msg_user2"]);
    expect(session.order.isBefore(ROOT, "msg_user2", madeAt(T0 - MINUTE))).toBe(true);
  });

  test("what the books name since a moment before the newest that was heard moves nothing", () => {
    const session = new Session().hears(madeAt(T0));
    session.order.known(ROOT, "msg_user1", T0 - MINUTE);
    session.hears("msg_user2");
    expect(session.sorted("msg_user2", "msg_user1", madeAt(T0))).toEqual([madeAt(T0), "msg_user1", "msg_user2"]);
    expect(session.order.isBefore(ROOT, madeAt(T0), "msg_user2")).toBe(true);
  });

  test("what the books name since a moment that our clock has not reached is ahead of nothing", () => {
    const session = new Session().hears(madeAt(T0));
    session.order.known(ROOT, "msg_user1", T0 + 60 * MINUTE);
    session.hears(madeAt(T0, 2), "msg_user2");
    const ids = [madeAt(T0), "msg_user1", madeAt(T0, 2), "msg_user2"];
    expect(session.sorted(...ids.toReversed())).toEqual(ids);
  });

  test("a clock that is set back leaves nothing ahead of what comes then", () => {
    const session = new Session().hears(madeAt(T0), "msg_before");
    session.now -= 60 * MINUTE;
    const next = madeAt(session.now);
    session.hears(next, "msg_after");
    expect(session.order.isBefore(ROOT, madeAt(T0), next)).toBe(true);
    expect(session.order.isBefore(ROOT, "msg_before", next)).toBe(true);
    expect(session.order.isBefore(ROOT, next, "msg_after")).toBe(true);
  });

  test("is one of all: transitive, and the same whatever was heard again", () => {
    const id = fc.oneof(
      fc.constantFrom("msg_user1", "msg_zzz", "msg_ffffffffffffxxxxxxxxxxxxxx", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
      fc.integer({ min: -120, max: 120 }).map((seconds) => madeAt(T0 + seconds * 1_000)),
    );
    const history = fc.array(fc.tuple(id, fc.nat(90_000)), { maxLength: 20 });
    fc.assert(
      fc.property(history, (heard) => {
        const session = new Session();
        for (const [each, ms] of heard) {
          session.now += ms;
          session.hears(each);
        }
        const ids = [...new Set(heard.map(([each]) => each))];
        const sorted = session.sorted(...ids);
        for (const [at, one] of sorted.entries())
          for (const other of sorted.slice(at + 1)) expect(session.order.isBefore(ROOT, other, one)).toBe(false);
        expect(session.hears(...ids.toReversed()).sorted(...ids)).toEqual(sorted);
      }),
    );
  });
});

describe("what is kept", () => {
  test("is bounded for each session: the oldest ids of other forms go first", () => {
    const session = new Session().hears(...Array.from({ length: 1_000 }, (_, at) => `msg_user${at}`));
    expect(session.order.isBefore(ROOT, "msg_user0", "msg_user800")).toBe(true);
    expect(session.order.isBefore(ROOT, "msg_user801", "msg_user999")).toBe(true);
    expect(session.order.isBefore(ROOT, "msg_user0", "msg_user1")).toBe(false);
  });

  test("goes with the session", () => {
    const session = new Session().hears("msg_user1", "msg_user2");
    session.order.forget(ROOT);
    expect([session.order.size, session.order.isBefore(ROOT, "msg_user1", "msg_user2")]).toEqual([0, false]);
  });

  test("an id made behind the floor comes after all that was heard, whatever that was", () => {
    const session = new Session().hears(madeAt(T0 + MINUTE - 1), "msg_user1", "msg_ffffffffffffxxxxxxxxxxxxxx");
    expect(session.order.floor(ROOT).slice(0, 16)).toBe(madeAt(T0 + MINUTE - 1).slice(0, 16));
    expect(new Session().hears("msg_user1").order.floor(ROOT)).toBe("");
  });
});
