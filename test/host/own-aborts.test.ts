import { expect, test } from "bun:test";
import { OwnAborts } from "../../src/host/own-aborts.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { ABORT_ERROR, OUR_ABORT_ERROR } from "../../src/tasks/outcome.ts";

const error = { name: ABORT_ERROR, message: "Aborted" };
const ERROR: HostEvent = { type: "session-error", sessionID: "ses_1", error };
const ANSWER: HostEvent = {
  type: "assistant-message",
  sessionID: "ses_1",
  messageID: "msg_2",
  parentID: "msg_1",
  summary: false,
  completedAt: 1,
  error,
  usage: undefined,
};

function says(messageID: string): HostEvent {
  return { type: "user-message", sessionID: "ses_1", messageID, voice: undefined };
}

function nameIn(event: HostEvent): string | undefined {
  return "error" in event ? event.error?.name : undefined;
}

test("the error of a session that we have aborted is ours, however often it comes, and that of another is not", () => {
  const aborts = new OwnAborts();
  expect(nameIn(aborts.named(ERROR))).toBe(ABORT_ERROR);
  aborts.begin("ses_1", "msg_1");
  for (const event of [ERROR, ANSWER, says("msg_1"), ERROR]) {
    const named = aborts.named(event);
    if (event.type !== "user-message") expect(nameIn(named)).toBe(OUR_ABORT_ERROR);
  }
  expect(nameIn(aborts.named({ ...ERROR, sessionID: "ses_2" }))).toBe(ABORT_ERROR);
});

test("any other error keeps its name", () => {
  const aborts = new OwnAborts();
  aborts.begin("ses_1", "msg_1");
  expect(nameIn(aborts.named({ ...ERROR, error: { name: "APIError", message: "no" } }))).toBe("APIError");
});

test("what is aborted after the next message is not ours", () => {
  const aborts = new OwnAborts();
  aborts.begin("ses_1", "msg_1");
  aborts.named(says("msg_3"));
  expect(nameIn(aborts.named(ERROR))).toBe(ABORT_ERROR);
});
