import { afterEach, expect, test } from "bun:test";
import {
  createGate,
  NoScriptForSessionError,
  type Script,
  ScriptExhaustedError,
  type ScriptedModel,
  type ScriptedModelOptions,
  startScriptedModel,
  UnknownScriptKeyError,
} from "../../src/testing/index.ts";

let model: ScriptedModel;

async function start(script: Script, options?: ScriptedModelOptions): Promise<void> {
  model = await startScriptedModel(script, options);
}

afterEach(() => model.close());

interface Ask {
  session?: string;
  parent?: string;
  system?: string;
  prompt?: string;
  stream?: boolean;
  signal?: AbortSignal;
}

function post({ session = "ses_1", parent, system = "", prompt = "hi", stream = false, signal }: Ask = {}) {
  const headers: Record<string, string> = { "content-type": "application/json", "x-session-id": session };
  if (parent !== undefined) headers["x-parent-session-id"] = parent;
  const messages = [
    { role: "system", content: system },
    { role: "user", content: prompt },
  ];
  const body = JSON.stringify({ model: "model", stream, messages });
  return fetch(`${model.url}/chat/completions`, { method: "POST", headers, body, ...(signal ? { signal } : {}) });
}

async function ask(options?: Ask): Promise<string> {
  const response = await post(options);
  const body = (await response.json()) as { choices: { message: { content: string } }[]; error?: { message: string } };
  return body.error?.message ?? body.choices[0]?.message.content ?? "";
}

test("one reply answers every request", async () => {
  await start("again");
  expect([await ask(), await ask(), await ask()]).toEqual(["again", "again", "again"]);
  expect(model.requests.map(({ step }) => step)).toEqual([0, 1, 2]);
});

test("each session walks through an array of replies on its own", async () => {
  await start(["first", ({ step }) => `step ${step}`]);
  expect(await ask({ session: "a" })).toBe("first");
  expect(await ask({ session: "b" })).toBe("first");
  expect(await ask({ session: "b" })).toBe("step 1");
  expect(await ask({ session: "a" })).toBe("step 1");
});

test("a script that ran out fails the request and is kept as a failure", async () => {
  await start(["only"]);
  await ask();
  const response = await post();
  expect(response.status).toBe(400);
  expect(await response.text()).toContain("session ses_1 made request 2, and its script has 1 replies");
  expect(model.failures).toHaveLength(1);
  expect(model.failures[0]?.error).toBeInstanceOf(ScriptExhaustedError);
});

test("a child gets the replies whose key its first prompt contains", async () => {
  await start({ root: "root", children: { alpha: "A", "*": "other" } });
  expect(await ask({ session: "r" })).toBe("root");
  expect(await ask({ session: "c1", parent: "r", prompt: "do alpha now" })).toBe("A");
  expect(await ask({ session: "c1", parent: "r", prompt: "and then beta" })).toBe("A");
  expect(await ask({ session: "c2", parent: "r", prompt: "do beta" })).toBe("other");
});

test("a session that the script does not name fails and says which", async () => {
  await start({ root: "root" });
  expect(await ask({ session: "c", parent: "r", prompt: "alpha" })).toContain(
    'child session c, whose first prompt is "alpha"',
  );
  expect(model.failures[0]?.error).toBeInstanceOf(NoScriptForSessionError);
});

test.each([
  [{ status: 401 }, '"status" in a reply'],
  [["good", { fail: 401 }], '"fail" in a reply'],
  [{ root: { txt: "hi" } }, '"txt" in a reply'],
  [{ root: "hi", childs: {} }, '"childs" in the script'],
  [{ children: { alpha: [{ error: { code: 401, message: "no" } }] } }, '"code" in an error'],
  [{ toolCalls: [{ name: "bash", arguments: {} }] }, '"arguments" in a tool call'],
  [{ usage: { tokens: 1 } }, '"tokens" in a usage'],
])("a script with a key that there is not is refused, with the known ones (%#)", async (script, said) => {
  const refused = startScriptedModel(script as Script);
  await expect(refused).rejects.toBeInstanceOf(UnknownScriptKeyError);
  await expect(refused).rejects.toThrow(`The script has the key ${said}; there are: `);
  await start("for afterEach");
});

test("what a function of the script answers is checked when it does, also when that is a promise", async () => {
  await start([async () => ({ text: "good" }), (async () => ({ status: 401 })) as never]);
  expect(await ask()).toBe("good");
  expect(await ask()).toContain('scripted model: The script has the key "status" in a reply; there are: text, ');
  expect(model.failures[0]?.error).toBeInstanceOf(UnknownScriptKeyError);
});

test("titles and summaries are answered without the script", async () => {
  await start([], { title: "T", summary: "S" });
  expect(await ask({ system: "You are a title generator. You output…" })).toBe("T");
  expect(await ask({ system: "You are a context summarization agent. You…" })).toBe("S");
  expect(model.requests.map(({ kind, step }) => [kind, step])).toEqual([
    ["title", -1],
    ["summary", -1],
  ]);
});

test("a reply waits for its gate", async () => {
  const gate = createGate();
  await start({ text: "late", until: gate.opened });
  let answered = false;
  const reply = ask().finally(() => {
    answered = true;
  });
  await model.waitForRequest(() => true);
  await Bun.sleep(30);
  expect(answered).toBe(false);
  gate.open();
  expect(await reply).toBe("late");
});

test("a hanging request ends with its client, with a release or with the model", async () => {
  await start({ hang: true, text: "released" });
  const client = new AbortController();
  const aborted = post({ session: "aborted", signal: client.signal }).catch((error: Error) => error.name);
  await model.waitForRequest(({ sessionID }) => sessionID === "aborted");
  client.abort();
  expect(await aborted).toBe("AbortError");
  await model.waitForRequest(({ sessionID, state }) => sessionID === "aborted" && state === "disconnected");

  const released = ask({ session: "released" });
  await model.waitForRequest(({ sessionID }) => sessionID === "released");
  model.releaseHangs();
  expect(await released).toBe("released");

  const closed = post({ session: "closed" }).then(
    () => "answered",
    () => "dropped",
  );
  await model.waitForRequest(({ sessionID }) => sessionID === "closed");
  await model.close();
  expect(await closed).toBe("dropped");
  expect(model.failures).toEqual([]);
});

test("a streamed reply arrives in pieces and carries its usage", async () => {
  await start({ text: "abcdef", chunks: 3, chunkMs: 5, usage: { promptTokens: 7, completionTokens: 9 } });
  const text = await (await post({ stream: true })).text();
  expect([...text.matchAll(/"content":"(\w+)"/g)].map((match) => match[1])).toEqual(["ab", "cd", "ef"]);
  expect(text).toContain('"prompt_tokens":7,"completion_tokens":9,"total_tokens":16');
  expect(text).toEndWith("data: [DONE]\n\n");
});
