import { beforeEach, describe, expect, test } from "bun:test";
import { frame, readFrame } from "../../src/delivery/frame.ts";
import type { Message, OutboxEffect } from "../../src/delivery/outbox.ts";
import { SessionSender } from "../../src/keeper/session-sender.ts";
import { aMessage, bySpelling, T0 } from "../support/builders.ts";

const OUTCOME = { taskID: "ses_1", run: 1 };

/** One session, in which a test says what is wanted and what is stored. */
class Session {
  wanted: Message | undefined;
  lastMessageID = "msg_1";
  now = T0;
  storedID: string | undefined;
  readonly effects: OutboxEffect[] = [];
  private made = 200;
  private readonly ids = { message: () => `msg_${++this.made}`, part: () => `prt_${this.made}` };
  readonly sender = new SessionSender({
    now: () => this.now,
    ids: this.ids,
    wanted: () => this.wanted,
    lastMessageID: () => this.lastMessageID,
    isBefore: bySpelling,
    floor: () => "",
    storedID: () => this.storedID,
    onChange: () => undefined,
    onEffect: (effect) => this.effects.push(effect),
  });

  /** As the composer makes it each time it is asked. */
  wants(kind: Message["kind"], outcomes: Message["outcomes"] = []): this {
    const id = this.ids.message();
    this.wanted = aMessage({ id, partID: this.ids.part(), kind, outcomes, text: frame(kind, id, "Go on.") });
    return this;
  }

  /** What the session's books hold after their next write. */
  stores(mayCome = true): string | undefined {
    this.storedID = this.sender.reservation(mayCome)?.id;
    return this.storedID;
  }

  work(): this {
    this.sender.work(true);
    return this;
  }

  get sent(): readonly Message[] {
    return this.effects.flatMap((effect) => (effect.type === "send" ? [effect.message] : []));
  }
}

let session: Session;

beforeEach(() => {
  session = new Session();
});

describe("ids that are stored ahead", () => {
  test.each(["continuation", "wrapup", "waiting"] as const)(
    "are taken by a message without outcomes, which goes out at once: %s",
    (kind) => {
      const spare = session.stores();
      expect(session.sender.hasSpare).toBe(true);
      session.wants(kind).work();
      expect(session.sent).toMatchObject([{ id: spare, partID: "prt_201", kind }]);
      expect(readFrame(session.sent[0]?.text ?? "")).toEqual({ kind, id: spare ?? "" });
    },
  );

  test("are not taken by one with outcomes: those have to be stored with it", () => {
    const spare = session.stores();
    session.wants("task-outcome", [OUTCOME]).work();
    expect([session.sent, session.sender.isWaitingForStore]).toEqual([[], true]);
    expect(session.stores()).not.toBe(spare);
    session.work();
    expect(session.sent).toMatchObject([{ id: session.storedID, outcomes: [OUTCOME] }]);
  });

  test("are none before they are stored", () => {
    session.sender.reservation(true);
    expect(session.sender.hasSpare).toBe(false);
    session.wants("continuation").work();
    expect(session.sent).toEqual([]);
  });

  test("are none once a newer message is in the session: theirs would sort before it", () => {
    const spare = session.stores();
    session.lastMessageID = "msg_500";
    expect(session.sender.hasSpare).toBe(false);
    session.wants("continuation").work();
    expect(session.sent).toEqual([]);
    expect(spare).toBeDefined();
  });

  test("are taken once", () => {
    session.stores();
    session.wants("continuation").work();
    expect(session.sender.hasSpare).toBe(false);
    session.sender.answerBegan(session.sent[0]?.id ?? "");
    session.wants("continuation").work();
    expect(session.sent).toHaveLength(1);
    const next = session.stores();
    session.work();
    expect(session.sent.map(({ id }) => id)).toEqual([session.sent[0]?.id ?? "", next ?? ""]);
  });

  test("stay the same from write to write until they are taken", () => {
    expect(session.stores()).toBe(session.stores() ?? "");
  });

  test("are made anew when a message has come that would sort behind them", () => {
    const before = session.stores();
    session.lastMessageID = "msg_201";
    expect(session.stores()).not.toBe(before ?? "");
  });

  test("are not made where no message may come, nor while one is on its way", () => {
    expect(session.sender.reservation(false)).toBeUndefined();
    session.wants("wrapup").work();
    expect(session.sender.reservation(true)).toMatchObject({ kind: "wrapup" });
    expect(session.sender.reservation(true)).not.toHaveProperty("text");
  });
});

describe("the ids of a message that the host has without its text", () => {
  beforeEach(() => {
    session.lastMessageID = "";
    session.sender.event({ type: "restored", message: aMessage({ text: "", outcomes: [OUTCOME] }) });
    session.sender.event({ type: "verified", found: { kind: "torn" }, maySend: true });
  });

  test("are taken by the next one, whatever it carries, once that is stored", () => {
    session.wants("continuation", [OUTCOME]).work();
    expect([session.sent, session.sender.isWaitingForStore]).toEqual([[], true]);
    expect(session.stores()).toBe("msg_5");
    session.work();
    expect(session.sent).toMatchObject([{ id: "msg_5", partID: "prt_5", outcomes: [OUTCOME] }]);
    expect(readFrame(session.sent[0]?.text ?? "")).toEqual({ kind: "continuation", id: "msg_5" });
  });

  test("wait for it among those that are stored ahead", () => {
    expect(session.stores()).toBe("msg_5");
    session.wants("continuation").work();
    expect(session.sent).toMatchObject([{ id: "msg_5" }]);
  });

  test("are taken once, although nothing shows that the host has it", () => {
    session.wants("task-outcome", [OUTCOME]).work().stores();
    session.work().sender.answerBegan("msg_5");
    session.wants("task-outcome", [OUTCOME]).work();
    expect(session.stores()).not.toBe("msg_5");
  });

  test("are its own where it is sent again", () => {
    session.wants("task-outcome", [OUTCOME]).work().stores();
    session.work().sender.event({ type: "refused", messageID: "msg_5", reason: "r" });
    session.now += 60_000;
    session.sender.event({ type: "clock", rootIdle: true });
    session.sender.event({ type: "verified", found: { kind: "torn" }, maySend: true });
    expect(session.sent.map(({ id }) => id)).toEqual(["msg_5", "msg_5"]);
    session.sender.answerBegan("msg_5");
    session.wants("task-outcome", [OUTCOME]).work();
    expect(session.stores()).not.toBe("msg_5");
  });

  test("are not taken once another message stands behind it", () => {
    session.lastMessageID = "msg_6";
    session.wants("continuation", [OUTCOME]).work();
    expect(session.stores()).not.toBe("msg_5");
  });
});

test("a message is under way until the host has it, and on its way until it is answered", () => {
  const { sender } = session;
  const isUnderWay = () => [sender.isUnderWay, sender.message !== undefined];
  expect(isUnderWay()).toEqual([false, false]);
  session.wants("task-outcome", [OUTCOME]).work();
  expect(isUnderWay()).toEqual([true, true]);
  session.stores();
  session.work();
  expect(isUnderWay()).toEqual([true, true]);
  sender.event({ type: "accepted", messageID: session.storedID ?? "" });
  expect(isUnderWay()).toEqual([false, true]);
  sender.answerBegan(session.storedID ?? "");
  expect(isUnderWay()).toEqual([false, false]);
});

test("an answer to a later message has read it once the host has stored it, which a plugin's hook may hold back", () => {
  const { sender } = session;
  session.wants("task-outcome", [OUTCOME]).work().stores();
  session.work();
  const id = sender.message?.id ?? "";
  sender.event({ type: "accepted", messageID: id });
  sender.answerBegan("msg_9");
  expect(sender.message?.id).toBe(id);
  sender.heard(id);
  sender.answerBegan("msg_9");
  expect(sender.message).toBeUndefined();
});

test("one that is unwanted when it is stored is withdrawn", () => {
  session.wants("waiting").work();
  session.stores();
  session.wanted = undefined;
  session.work();
  expect([session.sent, session.sender.message]).toEqual([[], undefined]);
});

test("one for a goal that another has replaced since is withdrawn", () => {
  const forGoal = (goalID: string) => {
    session.wants("continuation");
    session.wanted = { ...(session.wanted as Message), goalID };
  };
  forGoal("goal_1");
  session.work().stores();
  forGoal("goal_2");
  session.work();
  expect(session.sent).toEqual([]);
  expect(session.sender.message).toMatchObject({ goalID: "goal_2" });
});

test("ids that are stored ahead stand for the goal that they may be used for", () => {
  expect(session.sender.reservation(true, "goal_1")).toMatchObject({ kind: "continuation", goalID: "goal_1" });
  expect(session.sender.reservation(true)).not.toHaveProperty("goalID");
});
