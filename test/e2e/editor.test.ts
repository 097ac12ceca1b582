import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate, createIsolatedOpencode, type IsolatedOpencode, type Script } from "../../src/testing/index.ts";
import { ScriptReader } from "../../src/testing/script.ts";
import { launch } from "./background.ts";
import { type Editor, openEditor } from "./editor.ts";
import { until as untilTrue } from "./limits.ts";
import { COMPLETE, PLUGIN, playModel } from "./stage.ts";

/** What OpenCode says of a command that is answered without a turn: the answer itself stands above it. */
const NO_TURN = { error: { code: -32603, message: expect.any(String), data: expect.anything() } };

let played: Awaited<ReturnType<typeof playModel>>;
let opencode: IsolatedOpencode;
/** `opencode acp` makes two instances of the directory in its process; only the second one gets sessions. */
let editor: Editor;

beforeAll(async () => {
  played = await playModel(undefined);
  opencode = createIsolatedOpencode({
    model: played.model,
    plugins: [[PLUGIN, { missing_task_grace_seconds: 1 }]],
  });
  editor = await openEditor(opencode);
});

afterAll(async () => {
  await opencode?.dispose();
  await played?.model.close();
});

async function open(script: Script): Promise<string> {
  const sessionID = await editor.newSession();
  played.readers.set(sessionID, new ScriptReader(script));
  return sessionID;
}

/** What the editor shows of the agent's words. */
function read(sessionID: string): string {
  const chunks = editor.shown.filter((one) => one.sessionID === sessionID && one.kind === "agent_message_chunk");
  return chunks.map(({ text }) => text).join("");
}

function requests(sessionID: string) {
  return played.model.requests.filter((request) => request.kind === "turn" && request.sessionID === sessionID);
}

function report(): string {
  const shown = editor.shown.map(({ sessionID, kind, text }) => `${sessionID} ${kind} ${text}`);
  return [...shown, ...played.model.failures.map(({ error }) => String(error))].join("\n");
}

const until = (what: string, isTrue: () => boolean) => untilTrue(what, isTrue, report);

/** Until its user can read it. */
const untilRead = (sessionID: string, words: string) =>
  until(`"${words}" is shown`, () => read(sessionID).includes(words));

describe.concurrent("in an editor (U11)", () => {
  test("a goal runs to its end, and each turn of it is shown", async () => {
    const id = await open(["First turn.", "Second turn.", COMPLETE, "All done."]);
    expect(await editor.prompt(id, "/goal reach the end")).toMatchObject({ stopReason: "end_turn" });
    await untilRead(id, "All done.");
    for (const words of ["First turn.", "Second turn.", "goalkeeper: Goal complete."])
      expect(read(id).split(words)).toHaveLength(2);
    expect(requests(id)).toHaveLength(4);
  });

  test("/goal and /tasks are answered where they are said, without a model request", async () => {
    const id = await open(["Hello."]);
    expect(await editor.prompt(id, "/goal")).toMatchObject(NO_TURN);
    expect(read(id)).toContain("No goal in this session. Start one with /goal <objective>.");
    expect(await editor.prompt(id, "/tasks")).toMatchObject(NO_TURN);
    expect(read(id)).toContain("There are no background tasks in this session.");
    expect(requests(id)).toEqual([]);
    expect(await editor.prompt(id, "hello")).toMatchObject({ stopReason: "end_turn" });
    expect(read(id)).toContain("Hello.");
  });

  test("a task is launched, and its result is told", async () => {
    const gate = createGate();
    const id = await open({
      root: [{ toolCalls: [launch("look")] }, "I wait.", "I have read it."],
      children: { look: { text: "look result", until: gate.opened } },
    });
    expect(await editor.prompt(id, "look at it")).toMatchObject({ stopReason: "end_turn" });
    gate.open();
    await untilRead(id, "I have read it.");
    expect(JSON.stringify(requests(id).at(-1))).toContain("look result");
    expect(requests(id)).toHaveLength(3);
  });

  test("a second prompt while the goal works comes first, and then the goal goes on", async () => {
    const gate = createGate();
    const id = await open([
      "First turn.",
      { text: "Second turn.", until: gate.opened },
      "Blue it is.",
      COMPLETE,
      "All done.",
    ]);
    expect(await editor.prompt(id, "/goal paint it")).toMatchObject({ stopReason: "end_turn" });
    await until("it is continued", () => requests(id).length === 2);
    const answered = editor.prompt(id, "make it blue");
    gate.open();
    expect(await answered).toMatchObject({ stopReason: "end_turn" });
    await untilRead(id, "All done.");
    const text = read(id);
    expect(text.indexOf("Blue it is.")).toBeGreaterThan(text.indexOf("Second turn."));
    expect(text).toContain("goalkeeper: Goal complete.");
  });

  test("what the user cancels pauses the goal, says so, and /goal resume goes on", async () => {
    const gate = createGate();
    const id = await open([{ text: "Never read.", until: gate.opened }, COMPLETE, "All done."]);
    const answered = editor.prompt(id, "/goal be cancelled");
    await until("the agent works", () => requests(id).length === 1);
    editor.cancel(id);
    expect(await answered).toMatchObject({ stopReason: "cancelled" });
    await untilRead(id, "/goal resume goes on.");
    expect(await editor.prompt(id, "/goal")).toMatchObject(NO_TURN);
    expect(read(id)).toContain("State: paused by you");
    expect(requests(id)).toHaveLength(1);
    await editor.prompt(id, "/goal resume");
    await untilRead(id, "All done.");
    expect(read(id)).toContain("goalkeeper: Goal complete.");
    gate.open();
  });
});

// The last one: it ends the editor.
test("a goal sleeps after the editor was killed with a task at work, and goes on where its session is used (U11)", async () => {
  const id = await open({
    root: [{ toolCalls: [launch("gone")] }, "I wait.", "It is lost.", COMPLETE, "All done."],
    children: { gone: { text: "never", until: new Promise(() => {}) } },
  });
  expect(await editor.prompt(id, "/goal survive")).toMatchObject({ stopReason: "end_turn" });
  await until("the task works", () => played.model.requests.some(({ parentSessionID }) => parentSessionID === id));
  await editor.close();
  editor = await openEditor(opencode);
  await editor.loadSession(id);
  await editor.prompt(id, "/goal");
  await untilRead(id, "sleeping since OpenCode was started again");
  await editor.prompt(id, "/goal resume");
  await untilRead(id, "All done.");
  expect(JSON.stringify(requests(id)[2]?.lastUserText)).toContain("lost");
  expect(requests(id)).toHaveLength(5);
  expect(opencode.readLog()).not.toContain("another copy is active");
  expect(editor.noise).toEqual([]);
});
