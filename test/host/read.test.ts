import { expect, test } from "bun:test";
import fc from "fast-check";
import { readError, readModelNames, readSession, readTranscript } from "../../src/host/read.ts";

function message(id: string, time: unknown, more: object = {}) {
  return { info: { id, role: "user", time, ...more }, parts: [{ type: "text", text: id }] };
}

test("messages are ordered by numeric creation time in every shape a host gives it, ties as they came (T4)", () => {
  const transcript = readTranscript([
    message("msg_d", { created: 10 }),
    message("msg_c", { created: "1970-01-01T00:00:00.009Z" }),
    message("msg_b", 9),
    message("msg_a", { created: "9" }),
  ]);
  expect(transcript.map(({ id }) => id)).toEqual(["msg_c", "msg_b", "msg_a", "msg_d"]);
});

test("the text of a message leaves out what nobody wrote, and the raw text has it all", () => {
  const parts = [
    { type: "text", text: "mine" },
    { type: "text", text: "theirs", synthetic: true },
    { type: "text", text: "shown", ignored: true },
  ];
  const [only] = readTranscript([{ info: { id: "msg_1", role: "user", time: { created: 1 } }, parts }]);
  expect(only).toMatchObject({ text: "mine", rawText: "mine\ntheirs\nshown" });
});

test("a session without metadata has none, and an archived one is archived", () => {
  expect(readSession({ id: "ses_1", time: { created: 1, archived: 2 } })).toMatchObject({
    metadata: {},
    archived: true,
  });
  expect(readSession({ title: "no id" })).toBeUndefined();
});

test("U1 a session in which the user has undone messages says so", () => {
  expect(readSession({ id: "ses_1", revert: { messageID: "msg_2" } })?.undone).toBe(true);
  for (const revert of [undefined, null, {}, "msg_2"])
    expect(readSession({ id: "ses_1", revert })).not.toHaveProperty("undone");
});

test("the provider's words are in error.data.message", () => {
  expect(readError({ name: "APIError", message: "outer", data: { message: "inner" } })).toEqual({
    name: "APIError",
    message: "inner",
  });
});

test("nothing of whatever shape makes reading throw (Z1)", () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      readSession(value);
      readError(value);
      readTranscript(value);
      readTranscript([{ info: value, parts: [value] }]);
    }),
  );
});

test("the names of the models are read from whatever comes: what is of no use is left out", () => {
  const providers = [{ id: "p", models: { m: {}, "a/b": {} } }, { id: "none" }, { models: { m: {} } }, null, 7];
  expect([...readModelNames({ providers })]).toEqual(["p/m", "p/a/b"]);
  for (const nothing of [undefined, null, [], { providers: {} }]) expect(readModelNames(nothing).size).toBe(0);
});
