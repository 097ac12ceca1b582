import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type EventSink, EventTranslator } from "../../src/host/events.ts";
import type { HostEvent } from "../../src/host/port.ts";

const LOADED_AT = 1_000;

function translate(...events: { type: string; properties?: unknown }[]) {
  return translateWith(undefined, ...events);
}

function translateWith(
  isOthers: EventSink["isOthers"],
  ...events: { type: string; properties?: unknown }[]
): {
  events: HostEvent[];
  signs: string[];
  dropped: string[];
} {
  const seen = { events: [] as HostEvent[], signs: [] as string[], dropped: [] as string[] };
  const translator = new EventTranslator({
    loadedAt: LOADED_AT,
    isOthers,
    event: (event) => seen.events.push(event),
    sign: (sessionID) => seen.signs.push(sessionID),
    dropped: (why, type) => seen.dropped.push(`${why} ${type}`),
  });
  for (const event of events) translator.receive(event);
  return seen;
}

const user = {
  type: "message.updated",
  properties: {
    info: {
      id: "msg_2",
      sessionID: "ses_1",
      role: "user",
      agent: "build",
      model: { providerID: "p", modelID: "m", variant: "high" },
    },
  },
};
const part = (more: object) => ({
  type: "message.part.updated",
  properties: { part: { id: "prt_1", sessionID: "ses_1", messageID: "msg_2", type: "text", text: "hi", ...more } },
});

describe("events of OpenCode", () => {
  test("a token is a sign of life and nothing more", () => {
    const seen = translate({ type: "message.part.delta", properties: { sessionID: "ses_1", delta: "x" } });
    expect(seen).toEqual({ events: [], signs: ["ses_1"], dropped: [] });
  });

  test("what we do not use makes nothing, and is counted", () => {
    const unused = [
      { type: "file.watcher.updated", properties: {} },
      { type: "session.idle", properties: { sessionID: "ses_1" } },
    ];
    const dropped = ["unused file.watcher.updated", "unused session.idle"];
    expect(translate(...unused)).toEqual({ events: [], signs: [], dropped });
  });

  test("what has a shape that we do not know makes nothing, and is counted: a later OpenCode may say it otherwise", () => {
    const changed = [
      { type: "session.status", properties: { sessionID: "ses_1", status: { type: "dreaming" } } },
      { type: "session.status", properties: { session: "ses_1" } },
      { type: "session.created", properties: { id: "ses_1" } },
      { type: "session.deleted" },
      { type: "session.error", properties: { sessionID: "ses_1", error: 7 } },
      { type: "session.compacted", properties: {} },
      { type: "message.removed", properties: { sessionID: "ses_1" } },
      { type: "message.updated", properties: { message: {} } },
      { type: "message.updated", properties: { info: { id: "msg_1", sessionID: "ses_1", role: "system" } } },
      { type: "message.part.updated", properties: {} },
      part({ type: "tool", tool: "task", callID: "call_1", state: { status: "dreaming" }, messageID: "msg_3" }),
      { type: "question.asked", properties: { sessionID: "ses_1" } },
      { type: "permission.replied", properties: { sessionID: "ses_1" } },
    ];
    const seen = translate(...changed);
    expect(seen.events).toEqual([]);
    expect(seen.dropped).toEqual(changed.map(({ type }) => `unread ${type}`));
  });

  test("an error of OpenCode's own is nobody's, and a tool call that is being written is none yet", () => {
    const pending = part({ type: "tool", tool: "task", callID: "call_1", state: { status: "pending" } });
    const seen = translate({ type: "session.error", properties: { error: { name: "UnknownError" } } }, pending);
    expect([seen.events, seen.dropped]).toEqual([[], []]);
  });

  test("of a pair of idles only the status counts", () => {
    const idle = { type: "session.status", properties: { sessionID: "ses_1", status: { type: "idle" } } };
    expect(translate(idle, { type: "session.idle", properties: { sessionID: "ses_1" } }).events).toEqual([
      { type: "session-idle", sessionID: "ses_1" },
    ]);
  });

  test("a user message gives agent, model and variant", () => {
    const voice = { agent: "build", model: { providerID: "p", modelID: "m" }, variant: "high" };
    expect(translate(user).events).toEqual([{ type: "user-message", sessionID: "ses_1", messageID: "msg_2", voice }]);
  });

  test("parts of the user's message are told from those of the assistant", () => {
    const [, said] = translate(user, part({})).events;
    expect(said).toMatchObject({ type: "user-text", text: "hi", synthetic: false, ignored: false });
    const [, written] = translate(user, part({ messageID: "msg_3", time: { start: 1, end: 2 } })).events;
    expect(written).toEqual({ type: "assistant-text", sessionID: "ses_1", text: "hi" });
  });

  describe("an answer", () => {
    const updated = (time: { created: number; completed?: number }) => {
      const info = { id: "msg_3", sessionID: "ses_1", role: "assistant", parentID: "msg_2", time };
      return { type: "message.updated", properties: { info } };
    };

    test("that was begun before this instance was loaded says so when it has ended", () => {
      const [ended] = translate(updated({ created: LOADED_AT - 1, completed: LOADED_AT + 1 })).events;
      expect(ended).toHaveProperty("fromBefore", true);
    });

    test("and a call of it that was aborted with the instance before", () => {
      const call = (status: string, start: number) => ({
        ...part({
          type: "tool",
          tool: "bash",
          callID: "call_1",
          messageID: "msg_3",
          state: { status, time: { start } },
        }),
      });
      const old = LOADED_AT - 1;
      const events = translate(call("error", old), call("error", LOADED_AT), call("completed", old)).events;
      expect(events.map((event) => "fromBefore" in event)).toEqual([true, false, false]);
      const [, begun] = translate(updated({ created: old }), call("error", old)).events;
      expect(begun).not.toHaveProperty("fromBefore");
    });

    test("that was begun since does not, also where a clock was set back", () => {
      const [since] = translate(updated({ created: LOADED_AT, completed: LOADED_AT + 1 })).events;
      const early = { created: LOADED_AT - 500 };
      const [begun, ended] = translate(updated(early), updated({ ...early, completed: LOADED_AT - 400 })).events;
      for (const event of [since, begun, ended]) expect(event).not.toHaveProperty("fromBefore");
    });
  });

  test("a text that still streams is not kept", () => {
    expect(translate(user, part({ messageID: "msg_3", time: { start: 1 } })).events).toHaveLength(1);
  });

  test("a request to compact is nobody's message", () => {
    expect(translate(user, part({ type: "compaction", auto: true })).events).toHaveLength(1);
  });

  test("OpenCode's report of an ended task is read, and only from a synthetic text", () => {
    const text =
      '<task id="ses_9" state="error">\n<summary>s</summary>\n<task_error>\nit broke\n</task_error>\n</task>';
    const [, told] = translate(user, part({ text, synthetic: true })).events;
    expect(told).toMatchObject({ told: { taskID: "ses_9", ended: "failed", text: "it broke" } });
    const [, typed] = translate(user, part({ text })).events;
    expect(typed).not.toHaveProperty("told");
  });

  test("a goalkeeper's message says which lost tasks it tells, unless nobody reads it", () => {
    const text = '<goalkeeper kind="task-outcome" id="msg_9">\n- "look" (ses_9): LOST.\n</goalkeeper>';
    const [, told] = translate(user, part({ text })).events;
    expect(told).toMatchObject({ lost: [{ taskID: "ses_9", run: 1 }] });
    for (const other of [{ text: "hi" }, { text, ignored: true }])
      expect(translate(user, part(other)).events[1]).not.toHaveProperty("lost");
  });

  test("the child of a Task-tool call is in the metadata of its part", () => {
    const state = { status: "running", title: "look", metadata: { sessionId: "ses_9", background: true } };
    const call = part({ type: "tool", tool: "task", callID: "call_1", state, messageID: "msg_3" });
    expect(translate(call).events).toMatchObject([
      { type: "tool", state: "running", child: { sessionID: "ses_9", background: true, title: "look" } },
    ]);
  });

  test("a child that a call has named while it ran is also that of its result, though the result does not name it", () => {
    const call = (status: string, metadata: object, id = "prt_1") =>
      part({ id, type: "tool", tool: "task", callID: "call_1", state: { status, metadata }, messageID: "msg_3" });
    const named = call("running", { sessionId: "ses_9" });
    const child = { sessionID: "ses_9", background: false, title: "" };
    const { events } = translate(named, call("completed", {}), call("completed", {}));
    expect(events).toMatchObject([{ child }, { state: "completed", child }, { state: "completed" }]);
    expect(events[2]).not.toHaveProperty("child");
    expect(translate(named, call("completed", {}, "prt_2")).events[1]).not.toHaveProperty("child");
    expect(translate(named, call("error", {})).events[1]).not.toHaveProperty("child");
  });

  test("the error of a turn is told by name, with the provider's words", () => {
    const error = { name: "APIError", data: { message: "no credit", statusCode: 402 } };
    expect(translate({ type: "session.error", properties: { sessionID: "ses_1", error } }).events).toEqual([
      { type: "session-error", sessionID: "ses_1", error: { name: "APIError", message: "no credit", statusCode: 402 } },
    ]);
  });

  test("an ask has its id in `id`, and its answer in `requestID`", () => {
    const asked = { type: "permission.asked", properties: { id: "per_1", sessionID: "ses_1", permission: "bash" } };
    const replied = {
      type: "permission.replied",
      properties: { requestID: "per_1", sessionID: "ses_1", reply: "reject" },
    };
    expect(translate(asked, replied).events).toEqual([
      { type: "ask-opened", sessionID: "ses_1", askID: "per_1", kind: "permission", about: "bash" },
      { type: "ask-closed", sessionID: "ses_1", askID: "per_1", kind: "permission", rejected: true },
    ]);
  });

  test("what is asked is said in words: what is to be allowed, and for what; the first question", () => {
    const asked = (type: string, properties: object) =>
      translate({ type, properties: { id: "x_1", sessionID: "ses_1", ...properties } }).events;
    const permission = (patterns: unknown) => asked("permission.asked", { permission: "bash", patterns });
    expect(permission(["rm -rf build", "ls"])).toMatchObject([{ about: "bash: rm -rf build, ls" }]);
    for (const patterns of [undefined, [], ["*"], "rm"])
      expect(permission(patterns)).toMatchObject([{ about: "bash" }]);
    const questions = [{ header: "Colour", question: "Red or blue?" }, { question: "Why?" }];
    expect(asked("question.asked", { questions })).toMatchObject([{ about: "Colour: Red or blue?" }]);
    expect(asked("question.asked", { questions: [{}] })).toMatchObject([{ about: "" }]);
  });

  test("no event of whatever shape makes it throw (Z1)", () => {
    const types = [
      "message.updated",
      "message.part.updated",
      "message.part.delta",
      "session.status",
      "session.created",
      "session.updated",
      "session.deleted",
      "session.error",
      "session.compacted",
      "message.removed",
      "permission.asked",
      "permission.replied",
      "question.asked",
      "question.rejected",
    ];
    const shape = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.anything(),
        fc.dictionary(
          fc.constantFrom(
            "info",
            "part",
            "id",
            "sessionID",
            "messageID",
            "role",
            "type",
            "state",
            "status",
            "metadata",
            "sessionId",
            "error",
            "name",
            "data",
            "time",
            "questions",
          ),
          tie("value"),
        ),
      ),
    })).value;
    fc.assert(
      fc.property(fc.constantFrom(...types), shape, (type, properties) => void translate({ type, properties })),
      { numRuns: 2_000 },
    );
  }, 120_000);
});

describe("a call that has the name of a tool of ours (U14)", () => {
  const call = (status: string, more: object = {}) =>
    part({ type: "tool", callID: "call_1", tool: "update_goal", state: { status, output: "" }, ...more });
  const marks = (isOthers: () => boolean, ...calls: ReturnType<typeof part>[]) =>
    translateWith(isOthers, ...calls).events.map((event) => "byOther" in event);

  test("is marked when it was seen at work, is complete, and has not reached us", () => {
    expect(marks(() => true, call("running"), call("running"), call("completed"))).toEqual([false, false, true]);
    expect(marks(() => false, call("running"), call("completed"))).toEqual([false, false]);
  });

  test("is not when it failed, or was begun before we were loaded, or stands in another session", () => {
    expect(marks(() => true, call("running"), call("error"))).toEqual([false, false]);
    expect(marks(() => true, call("completed"))).toEqual([false]);
    expect(marks(() => true, call("running"), call("completed", { sessionID: "ses_2" }))).toEqual([false, false]);
  });

  test("is asked about by session, message and name", () => {
    const asked: unknown[] = [];
    translateWith(
      (which) => {
        asked.push(which);
        return false;
      },
      call("running"),
      call("completed"),
    );
    expect(asked).toEqual([{ sessionID: "ses_1", messageID: "msg_2", tool: "update_goal" }]);
  });
});
