import { describe, expect, test } from "bun:test";
import { closeAsks, closeUndo, receiveAsk, undoneIn } from "../../src/goals/asks.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { aRoot, aSession, CHILD, ROOT } from "../support/builders.ts";

describe("asks", () => {
  const opened = (askID: string, sessionID = CHILD): HostEvent => {
    return { type: "ask-opened", sessionID, askID, kind: "question", about: "Which?" };
  };
  const closed = (askID: string): HostEvent => {
    return { type: "ask-closed", sessionID: CHILD, askID, kind: "question", rejected: false };
  };
  const asks = (...events: readonly HostEvent[]) => events.reduce(receiveAsk, aRoot()).asks.map(({ askID }) => askID);

  test("hold from their opening, each once", () => {
    expect(asks(opened("que_1"), opened("que_2"), opened("que_1"))).toEqual(["que_2", "que_1"]);
    expect(receiveAsk(aRoot(), opened("que_1")).asks).toEqual([
      { askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" },
    ]);
  });

  test("close with their own reply, not with another one's", () => {
    expect(asks(opened("que_1"), opened("que_2"), closed("que_1"))).toEqual(["que_2"]);
  });

  test.each(["session-idle", "session-deleted"] as const)("close with the end of their session: %s", (type) => {
    expect(asks(opened("que_1"), opened("que_2", ROOT), { type, sessionID: CHILD })).toEqual(["que_2"]);
  });

  test("are not touched by anything else", () => {
    const root = receiveAsk(aRoot(), opened("que_1"));
    for (const event of [
      { type: "session-busy", sessionID: CHILD },
      closed("que_9"),
      { type: "session-error", sessionID: CHILD, error: { name: "APIError", message: "503" } },
      { type: "session-idle", sessionID: "ses_9" },
    ] as const) {
      expect(receiveAsk(root, event)).toBe(root);
    }
  });
});

describe("U1 an undo", () => {
  const seen = (undone: boolean, sessionID = ROOT): HostEvent => {
    const session = aSession(sessionID, undone ? { undone: true } : {});
    return { type: "session-seen", session, created: false };
  };
  const undone = (...events: readonly HostEvent[]) => undoneIn(events.reduce(receiveAsk, aRoot()));

  test("holds from the first time its session shows it until the session does not any more", () => {
    expect(undone(seen(true), seen(true, CHILD), seen(true))).toEqual([ROOT, CHILD]);
    expect(undone(seen(true), seen(true, CHILD), seen(false))).toEqual([CHILD]);
  });

  test("does not end with the turn before it, whose idle may come late, nor by what the host asks there", () => {
    const idle: HostEvent = { type: "session-idle", sessionID: ROOT };
    const closed = { type: "ask-closed", sessionID: ROOT, askID: "que_1", kind: "question", rejected: false } as const;
    expect(undone(seen(true), idle, closed)).toEqual([ROOT]);
  });

  test("ends with its session, and when its user is about to write there", () => {
    expect(undone(seen(true), { type: "session-deleted", sessionID: ROOT })).toEqual([]);
    expect(undoneIn(closeUndo([seen(true), seen(true, CHILD)].reduce(receiveAsk, aRoot()), ROOT))).toEqual([CHILD]);
  });

  test("leaves what the host asks in the same session open", () => {
    const opened = { type: "ask-opened", sessionID: ROOT, askID: "que_1", kind: "question", about: "" } as const;
    expect([opened, seen(true), seen(false)].reduce(receiveAsk, aRoot()).asks).toMatchObject([{ askID: "que_1" }]);
  });

  test("that is shown again changes nothing", () => {
    const root = receiveAsk(aRoot(), seen(true));
    expect(receiveAsk(root, seen(true))).toBe(root);
    const none = aRoot();
    expect(receiveAsk(none, seen(false))).toBe(none);
  });
});

test("when a task has ended its asks are closed, whether or not its last events were heard", () => {
  const ask = { askID: "que_1", kind: "question", about: "Which?" } as const;
  const root = aRoot({
    asks: [
      { ...ask, sessionID: CHILD },
      { ...ask, askID: "que_2", sessionID: ROOT },
    ],
  });
  expect(closeAsks(root, CHILD).asks.map(({ askID }) => askID)).toEqual(["que_2"]);
  expect(closeAsks(root, "ses_9")).toBe(root);
});
