import { describe, expect, test } from "bun:test";
import { closeAsks, receiveAsk } from "../../src/goals/asks.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { aRoot, CHILD, ROOT } from "../support/builders.ts";

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
