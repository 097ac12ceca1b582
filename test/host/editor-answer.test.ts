import { expect, test } from "bun:test";
import { EditorAnswer } from "../../src/host/editor-answer.ts";

test("what is told in an editor is one line of its protocol, whatever is in it, apart from the agent's own words", () => {
  const lines: string[] = [];
  const editor = new EditorAnswer({ stdout: (text) => lines.push(text), ids: { message: () => "msg_1" } });
  editor.tell("ses_1", 'State: "active"\nTurns: 1');
  expect(lines).toHaveLength(1);
  expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    jsonrpc: "2.0",
    method: "session/update",
    params: {
      sessionId: "ses_1",
      update: {
        sessionUpdate: "agent_message_chunk",
        messageId: "msg_1",
        content: { type: "text", text: '\n\nState: "active"  \nTurns: 1\n\n' },
      },
    },
  });
});

test("what is about no session is told once, in the first session that is used", () => {
  const lines: string[] = [];
  const editor = new EditorAnswer({ stdout: (text) => lines.push(text), ids: { message: () => "msg_1" } });
  editor.announce("Another plugin has the tool update_goal.");
  expect(lines).toEqual([]);
  editor.used("ses_1");
  editor.used("ses_2");
  expect(lines.map((line) => JSON.parse(line).params)).toMatchObject([
    {
      sessionId: "ses_1",
      update: { content: { text: "\n\ngoalkeeper: Another plugin has the tool update_goal.\n\n" } },
    },
  ]);
});
