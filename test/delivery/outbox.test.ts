import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  EMPTY,
  type Found,
  hasMessage,
  type Message,
  type Outbox,
  type OutboxEffect,
  type OutboxEvent,
  outboxDeadline,
  transitionOutbox,
} from "../../src/delivery/outbox.ts";
import { aMessage, T0 } from "../support/builders.ts";

const SECOND = 1_000;
const MESSAGE = aMessage({ id: "msg_5", outcomes: [{ taskID: "ses_1", run: 1 }] });
const RESERVED: Outbox = { state: "reserved", message: MESSAGE };

function sending(attempt = 1): Outbox {
  return { state: "sending", message: MESSAGE, attempt, until: T0 + 15 * SECOND };
}

function sent(attempt = 1): Outbox {
  return { state: "sent", message: MESSAGE, attempt, until: T0 + 10 * SECOND };
}

function backingOff(attempt = 1): Outbox {
  return { state: "backing-off", message: MESSAGE, attempt, until: T0 + SECOND };
}

function withdrawn(times: number, until: number): Outbox {
  return { state: "withdrawn", withdrawn: { times, at: T0 }, until };
}

function unverified(attempt = 1): Outbox {
  return { state: "unverified", message: MESSAGE, attempt, looks: 1, until: T0 + 5 * SECOND };
}

const OUT = [sending(), sent(), backingOff(), unverified()];
const EVERY = [EMPTY, RESERVED, withdrawn(3, T0 + SECOND), ...OUT];

function step(outbox: Outbox, event: OutboxEvent, now = T0) {
  return transitionOutbox(outbox, event, now);
}

function answerTo(userMessageID: string): OutboxEvent {
  return { type: "answer-began", userMessageID, isLater: userMessageID > MESSAGE.id };
}

function kinds(effects: readonly OutboxEffect[]): readonly string[] {
  return effects.map(({ type }) => type);
}

function expectInert(outbox: Outbox, event: OutboxEvent, now = T0): void {
  const after = step(outbox, event, now);
  expect(after.outbox).toBe(outbox);
  expect(after.effects).toEqual([]);
}

describe("written before acted", () => {
  test("a message is reserved first: nothing is sent until it is stored", () => {
    expect(step(EMPTY, { type: "put", message: MESSAGE })).toEqual({ outbox: RESERVED, effects: [] });
  });

  test("stored, it is sent, and the host has 15 seconds to accept it", () => {
    expect(step(RESERVED, { type: "stored" })).toEqual({
      outbox: sending(1),
      effects: [{ type: "send", message: MESSAGE }],
    });
  });

  test("what is not wanted any more is withdrawn as long as nothing was sent", () => {
    const { outbox, effects } = step(RESERVED, { type: "withdraw" });
    expect([outbox.state, effects]).toEqual(["empty", []]);
    for (const other of [EMPTY, ...OUT]) expectInert(other, { type: "withdraw" });
  });

  describe("what is withdrawn again and again backs off: each time it was reserved and written (U17)", () => {
    /** How often it is reserved within a time, by somebody who wants it at once and never still does. */
    function reservations(withinMs: number): readonly number[] {
      const moments: number[] = [];
      let outbox: Outbox = EMPTY;
      for (let now = T0; now < T0 + withinMs; now += 20) {
        if (outboxDeadline(outbox) <= now) outbox = step(outbox, { type: "clock", rootIdle: true }, now).outbox;
        outbox = step(outbox, { type: "put", message: MESSAGE }, now).outbox;
        if (outbox.state === "reserved") moments.push(now - T0);
        outbox = step(outbox, { type: "withdraw" }, now).outbox;
      }
      return moments;
    }

    test("twice without a pause, then after a second, two, four …", () => {
      expect(reservations(20 * SECOND)).toEqual([0, 20, 40, 1_040, 3_040, 7_040, 15_040]);
    });

    test("and in an hour not a hundred times", () => {
      expect(reservations(3_600 * SECOND).length).toBeLessThan(100);
    });

    test("one that goes out ends the row, and so does a minute without a withdrawal", () => {
      const third: Outbox = { state: "reserved", message: MESSAGE, withdrawn: { times: 2, at: T0 } };
      expect(step(third, { type: "withdraw" }).outbox).toEqual(withdrawn(3, T0 + SECOND));
      expect(step(third, { type: "withdraw" }, T0 + 60 * SECOND).outbox.state).toBe("empty");
      const gone = step(step(third, { type: "stored" }).outbox, { type: "reader-gone" }).outbox;
      expect(gone).toBe(EMPTY);
    });

    test("what was restored need not wait", () => {
      const after = step(withdrawn(9, T0 + 60 * SECOND), { type: "restored", message: MESSAGE });
      expect(after.outbox.state).toBe("unverified");
    });
  });

  test("a reservation waits for the store, not for the clock", () => {
    expect(outboxDeadline(RESERVED)).toBe(Number.POSITIVE_INFINITY);
    expectInert(RESERVED, { type: "clock", rootIdle: true }, T0 + 999 * SECOND);
  });
});

describe("one message in flight", () => {
  test.each([RESERVED, ...OUT])("while one is on its way no other gets in (%#)", (outbox) => {
    expectInert(outbox, { type: "put", message: aMessage({ id: "msg_6" }) });
    expectInert(outbox, { type: "restored", message: aMessage({ id: "msg_6" }) });
  });

  test.each([EMPTY, ...OUT])("stored means something for a reservation only (%#)", (outbox) => {
    expectInert(outbox, { type: "stored" });
  });
});

describe("accepted", () => {
  test("its outcomes are delivered, and its turn must start within ten seconds", () => {
    expect(step(sending(2), { type: "accepted", messageID: "msg_5" })).toEqual({
      outbox: sent(2),
      effects: [{ type: "delivered", message: MESSAGE }],
    });
  });

  test("an answer about another message, or one that comes too late, is inert", () => {
    expectInert(sending(), { type: "accepted", messageID: "msg_4" });
    for (const outbox of [EMPTY, RESERVED, sent(), backingOff(), unverified()]) {
      expectInert(outbox, { type: "accepted", messageID: "msg_5" });
    }
  });
});

describe("refused", () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 4],
  ])("after send %i the next waits %i seconds", (attempt, seconds) => {
    expect(step(sending(attempt), { type: "refused", messageID: "msg_5", reason: "503" })).toEqual({
      outbox: { state: "backing-off", message: MESSAGE, attempt, until: T0 + seconds * SECOND },
      effects: [],
    });
  });

  test("the fourth send was the last: it is given up with the reason", () => {
    expect(step(sending(4), { type: "refused", messageID: "msg_5", reason: "503" })).toEqual({
      outbox: EMPTY,
      effects: [{ type: "given-up", message: MESSAGE, reason: "503" }],
    });
  });

  test("an answer about another message, or one that comes too late, is inert", () => {
    expectInert(sending(), { type: "refused", messageID: "msg_4", reason: "503" });
    for (const outbox of [EMPTY, RESERVED, sent(), backingOff(), unverified()]) {
      expectInert(outbox, { type: "refused", messageID: "msg_5", reason: "503" });
    }
  });
});

describe("started", () => {
  test("an answer to it ends its way", () => {
    expect(step(sent(), answerTo("msg_5"))).toEqual({
      outbox: EMPTY,
      effects: [{ type: "started", message: MESSAGE }],
    });
  });

  test("so does an answer to any later user-role message: it has read ours", () => {
    expect(step(sent(), answerTo("msg_6")).outbox).toBe(EMPTY);
  });

  test.each([sending(), backingOff(), unverified()])(
    "an answer that is faster than the call delivers as well (%#)",
    (outbox) => {
      const after = step(outbox, answerTo("msg_5"));
      expect(after.outbox).toBe(EMPTY);
      expect(kinds(after.effects)).toEqual(["delivered", "started"]);
    },
  );

  test("an answer to an earlier message is not one to ours", () => {
    for (const outbox of EVERY) expectInert(outbox, answerTo("msg_4"));
  });

  test("what was never sent is not answered by a turn that runs", () => {
    for (const outbox of [EMPTY, RESERVED]) expectInert(outbox, answerTo("msg_9"));
  });
});

describe("sent in vain", () => {
  test("accepted and no turn on an idle root: it backs off, and is not counted twice", () => {
    const after = step(sent(1), { type: "clock", rootIdle: true }, T0 + 10 * SECOND);
    expect(after).toEqual({
      outbox: { state: "backing-off", message: MESSAGE, attempt: 1, until: T0 + 11 * SECOND },
      effects: [],
    });
  });

  test("a busy root may still take it: it is waited for", () => {
    const after = step(sent(1), { type: "clock", rootIdle: false }, T0 + 10 * SECOND);
    expect(after).toEqual({ outbox: { ...sent(1), until: T0 + 20 * SECOND } as Outbox, effects: [] });
  });

  test("a call that nobody answered counts as refused", () => {
    const after = step(sending(1), { type: "clock", rootIdle: true }, T0 + 15 * SECOND);
    expect(after.outbox).toMatchObject({ state: "backing-off", attempt: 1 });
    const last = step(sending(4), { type: "clock", rootIdle: true }, T0 + 15 * SECOND);
    expect(last).toMatchObject({ outbox: EMPTY, effects: [{ type: "given-up" }] });
  });

  test("the fourth send without a turn was the last", () => {
    const after = step(sent(4), { type: "clock", rootIdle: true }, T0 + 10 * SECOND);
    expect(after).toMatchObject({ outbox: EMPTY, effects: [{ type: "given-up" }] });
  });

  test("nothing is sent again before the transcript has said what became of it", () => {
    const after = step(backingOff(2), { type: "clock", rootIdle: true }, T0 + SECOND);
    expect(after).toEqual({
      outbox: { ...unverified(2), until: T0 + 6 * SECOND } as Outbox,
      effects: [{ type: "verify", message: MESSAGE }],
    });
  });

  test("a transcript that nobody could read is asked for again", () => {
    const after = step(unverified(2), { type: "clock", rootIdle: true }, T0 + 5 * SECOND);
    expect(kinds(after.effects)).toEqual(["verify"]);
    expect(outboxDeadline(after.outbox)).toBe(T0 + 10 * SECOND);
  });

  test("a transcript that stays unreadable ends it after six looks", () => {
    let after = step(unverified(0), { type: "clock", rootIdle: true }, T0 + 5 * SECOND);
    for (let look = 3; look <= 6; look++) {
      expect(kinds(after.effects)).toEqual(["verify"]);
      after = step(after.outbox, { type: "clock", rootIdle: true }, outboxDeadline(after.outbox));
    }
    expect(kinds(step(after.outbox, { type: "clock", rootIdle: true }, outboxDeadline(after.outbox)).effects)).toEqual([
      "given-up",
    ]);
  });

  test.each(OUT)("before its moment the clock does nothing (%#)", (outbox) => {
    expectInert(outbox, { type: "clock", rootIdle: true }, outboxDeadline(outbox) - 1);
  });
});

describe("what the transcript says of a message", () => {
  function verified(found: Found, attempt: number, maySend = true) {
    return step(unverified(attempt), { type: "verified", found, maySend });
  }

  test.each([0, 1])("answered: it was delivered and has started (attempt %i)", (attempt) => {
    const after = verified({ kind: "answered" }, attempt);
    expect(after.outbox).toBe(EMPTY);
    expect(kinds(after.effects)).toEqual(["delivered", "started"]);
  });

  test.each([0, 1])("overtaken: whoever answers the later message has read it (attempt %i)", (attempt) => {
    const after = verified({ kind: "overtaken" }, attempt);
    expect(after.outbox).toBe(EMPTY);
    expect(kinds(after.effects)).toEqual(["delivered", "overtaken"]);
  });

  test.each([0, 1])("stored, newest and unanswered: sent again with the stored text (attempt %i)", (attempt) => {
    const after = verified({ kind: "unanswered", text: "as stored" }, attempt);
    expect(after.outbox).toMatchObject({
      state: "sending",
      attempt: attempt + 1,
      message: { id: "msg_5", partID: "prt_5" },
    });
    expect(kinds(after.effects)).toEqual(["delivered", "send"]);
    expect(after.effects[1]?.message.text).toBe("as stored");
  });

  test("absent after a send in vain: the same message is tried again", () => {
    const after = verified({ kind: "absent" }, 2);
    expect(after).toEqual({ outbox: sending(3), effects: [{ type: "send", message: MESSAGE }] });
  });

  test("absent after a restart: whatever the host had answered, nobody was told, and its outcomes go out under a new id", () => {
    const { outbox, effects } = verified({ kind: "absent" }, 0);
    expect(outbox).toEqual(EMPTY);
    expect(effects).toMatchObject([{ type: "not-stored", message: { id: "msg_5" } }]);
  });

  test("torn after a send in vain: it goes out again with its own text, not with the empty one", () => {
    const after = verified({ kind: "torn" }, 2);
    expect(after).toEqual({ outbox: sending(3), effects: [{ type: "send", message: MESSAGE }] });
  });

  test("torn after a restart: nobody was told", () => {
    const { outbox, effects } = verified({ kind: "torn" }, 0);
    expect(outbox).toEqual(EMPTY);
    expect(effects).toMatchObject([{ type: "not-stored", message: { id: "msg_5" } }]);
  });

  test("one that is stored, and is not wanted any more, is read with whatever comes next, and counts", () => {
    const after = verified({ kind: "unanswered", text: "as stored" }, 1, false);
    expect(after.outbox).toBe(EMPTY);
    expect(kinds(after.effects)).toEqual(["delivered", "overtaken"]);
  });

  test.each([
    { kind: "absent" },
    { kind: "torn" },
    { kind: "unanswered", text: "as stored" },
    { kind: "overtaken" },
    { kind: "answered" },
  ] satisfies Found[])("nothing is sent to a root that is quiet or asleep by now (%#)", (found) => {
    for (const attempt of [0, 1, 3]) {
      const after = verified(found, attempt, false);
      expect(after.outbox).toBe(EMPTY);
      expect(kinds(after.effects)).not.toContain("send");
    }
  });

  test("what was not asked is not heard", () => {
    for (const outbox of [EMPTY, RESERVED, sending(), sent(), backingOff()]) {
      expectInert(outbox, { type: "verified", found: { kind: "absent" }, maySend: true });
    }
  });
});

test("restored after a restart: the transcript is read before anything else", () => {
  expect(step(EMPTY, { type: "restored", message: MESSAGE })).toEqual({
    outbox: unverified(0),
    effects: [{ type: "verify", message: MESSAGE }],
  });
});

test.each([RESERVED, ...OUT])("a session that does not exist any more ends it, once (%#)", (outbox) => {
  const after = step(outbox, { type: "reader-gone" });
  expect(after.outbox).toBe(EMPTY);
  expect(kinds(after.effects)).toEqual(["given-up"]);
  expectInert(after.outbox, { type: "reader-gone" });
});

describe("whatever happens", () => {
  const someMessage: fc.Arbitrary<Message> = fc.constantFrom(aMessage({ id: "msg_5" }), aMessage({ id: "msg_7" }));
  const someID = fc.constantFrom("msg_4", "msg_5", "msg_6", "msg_7");
  const someFound: fc.Arbitrary<Found> = fc.constantFrom(
    { kind: "answered" },
    { kind: "overtaken" },
    { kind: "absent" },
    { kind: "torn" },
    { kind: "unanswered", text: "t" },
  );
  const someEvent: fc.Arbitrary<OutboxEvent> = fc.oneof(
    fc.record({ type: fc.constantFrom("put" as const, "restored" as const), message: someMessage }),
    fc.constantFrom<OutboxEvent>({ type: "stored" }, { type: "withdraw" }),
    fc.record({ type: fc.constant("accepted" as const), messageID: someID }),
    fc.record({ type: fc.constant("refused" as const), messageID: someID, reason: fc.constant("r") }),
    someID.map(answerTo),
    fc.record({ type: fc.constant("verified" as const), found: someFound, maySend: fc.boolean() }),
    fc.record({ type: fc.constant("clock" as const), rootIdle: fc.boolean() }),
  );
  const history = fc.array(fc.tuple(someEvent, fc.nat(20 * SECOND)), { maxLength: 60 });

  function run(
    events: readonly (readonly [OutboxEvent, number])[],
    check: (outbox: Outbox, effects: readonly OutboxEffect[], now: number) => void,
  ): void {
    let outbox = EMPTY;
    let now = T0;
    for (const [event, ms] of events) {
      now += ms;
      const after = step(outbox, event, now);
      outbox = after.outbox;
      check(outbox, after.effects, now);
    }
  }

  test("at most four sends of one message, and every one of them from the state that waits for its answer", () => {
    fc.assert(
      fc.property(history, (events) => {
        const sends = new Map<Message["id"], number>();
        run(events, (outbox, effects) => {
          for (const { type, message } of effects) {
            if (type === "send") sends.set(message.id, (sends.get(message.id) ?? 0) + 1);
            if (type === "send") expect(outbox).toMatchObject({ state: "sending", message: { id: message.id } });
          }
          if (!hasMessage(outbox)) sends.clear();
          for (const count of sends.values()) expect(count).toBeLessThanOrEqual(4);
        });
      }),
    );
  });

  test("what is out has a deadline, and the clock never leaves it in the past", () => {
    fc.assert(
      fc.property(history, fc.boolean(), (events, rootIdle) => {
        run(events, (outbox, _effects, now) => {
          if (outbox.state === "empty" || outbox.state === "reserved") return;
          expect(Number.isFinite(outboxDeadline(outbox))).toBe(true);
          const at = Math.max(now, outboxDeadline(outbox));
          expect(outboxDeadline(step(outbox, { type: "clock", rootIdle }, at).outbox)).toBeGreaterThan(at);
        });
      }),
    );
  });

  test("a message starts or is given up once at most, and never after a withdrawal", () => {
    fc.assert(
      fc.property(history, (events) => {
        run(events, (outbox, effects) => {
          const ends = effects.filter(({ type }) => type === "started" || type === "given-up");
          expect(ends.length).toBeLessThanOrEqual(1);
          if (ends.length === 1) expect(outbox).toBe(EMPTY);
        });
      }),
    );
  });
});
