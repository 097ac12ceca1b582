import { describe, expect, test } from "bun:test";
import {
  createGate,
  createIsolatedOpencode,
  type ModelRequest,
  type ScriptedToolCall,
} from "../../src/testing/index.ts";
import { launch, read } from "./background.ts";
import { until } from "./limits.ts";
import { COMPANION } from "./run-companion.ts";
import { events, openRun, type RunStage, rootMetadata, said, storedRoot, usedLast } from "./run-stage.ts";
import { COMPLETE, PLUGIN, task } from "./stage.ts";
import { startTextFirstModel } from "./text-first-model.ts";

const BOTH = [
  ["native", (name: string): ScriptedToolCall => task(name)],
  ["launched", (name: string) => launch(name)],
] as const;

/** What the model of the main session has read since its last answer. */
function newTexts(request: ModelRequest | undefined): string {
  const messages = request?.messages ?? [];
  const since = messages.findLastIndex(({ role }) => role === "assistant");
  return JSON.stringify(messages.slice(since + 1)).replaceAll('\\"', '"');
}

function holds(stage: RunStage): number {
  return stage.trace().filter((record) => record.kind === "hold" && record.hold.kind === "hold").length;
}

describe.concurrent("opencode run with background tasks", () => {
  test.each(BOTH)("a %s task finishes, the agent answers its outcome, and then the process exits", async (_, call) => {
    await using stage = await openRun({
      root: [{ text: "I send it off.", toolCalls: [call("alpha")] }, "I wait.", "It found nothing."],
      children: { alpha: { text: "nothing found", delayMs: 1_500 } },
    });
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I send it off.\nI wait.\nIt found nothing.\n" });
    expect(newTexts(stage.requests().at(-1))).toContain("nothing found");
    expect(stage.requests()).toHaveLength(3);
    expect(said(result)).toEqual([
      expect.stringMatching(/^goalkeeper: waiting for 1 background task: "alpha", at most (30m 0s|29m \d+s) more$/),
      expect.stringMatching(/^goalkeeper: alpha: completed after [\d.]+s$/),
    ]);
    expect(stage.model.failures).toEqual([]);
  });

  test.each(BOTH)("three %s tasks are told together or one after the other, each once", async (kind, call) => {
    const names = ["alpha", "beta", "gamma"];
    await using stage = await openRun({
      root: [{ toolCalls: names.map((name) => call(name)) }, "I wait.", ...names.map(() => "I have read it.")],
      children: {
        alpha: { text: "alpha's result", delayMs: 500 },
        beta: { text: "beta's result", delayMs: 1_000 },
        gamma: { text: "gamma's result", delayMs: 1_500 },
      },
    });
    expect(await stage.run("look at it")).toMatchObject({ exitCode: 0 });
    const read = JSON.stringify(stage.requests().at(-1)?.messages);
    for (const name of names) expect(read.split(`${name}'s result`)).toHaveLength(2);
    // Nobody is woken for a success while its siblings work.
    expect(stage.requests()).toHaveLength(3);
    if (kind === "native") expect(read).not.toContain("<goalkeeper");
  });

  test("tasks of tasks are waited for, and each is told to whom it belongs", async () => {
    await using stage = await openRun({
      root: [{ toolCalls: [launch("outer")] }, "I wait.", "All is done."],
      children: {
        outer: [{ toolCalls: [launch("inner")] }, "I wait for mine.", "Mine said: deep."],
        inner: { text: "deep", delayMs: 1_500 },
      },
    });
    expect(await stage.run("look at it")).toMatchObject({ exitCode: 0, stdout: "I wait.\nAll is done.\n" });
    expect(stage.lastRead()).toContain("Mine said: deep.");
    expect(stage.requests()).toHaveLength(3);
  });

  test.each(BOTH)("the failure of a %s task is read at once, and the others are waited for", async (_, call) => {
    const { opened: isRead, open: letGo } = createGate();
    const oneFailed = () => {
      letGo();
      return "One failed.";
    };
    await using stage = await openRun({
      root: [{ toolCalls: [call("alpha"), call("beta")] }, "I wait.", oneFailed, "The other is done."],
      children: {
        alpha: { error: { status: 401, message: "no such key" } },
        beta: { text: "beta's result", until: isRead, delayMs: 300 },
      },
    });
    expect(await stage.run("look at it")).toMatchObject({ exitCode: 0 });
    const [, , failed, done] = stage.requests();
    expect(newTexts(failed)).toContain("no such key");
    expect(newTexts(failed)).not.toContain("beta's result");
    expect(newTexts(done)).toContain("beta's result");
  });

  test("a task that somebody aborts is told, although OpenCode tells nobody", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [task("alpha")] }, "I wait.", "It was cancelled."],
        children: { alpha: { text: "never said", delayMs: 20_000 } },
      },
      { after: [[COMPANION, { aborts: "alpha" }]] },
    );
    expect(await stage.run("look at it")).toMatchObject({ exitCode: 0, stdout: "I wait.\nIt was cancelled.\n" });
    expect(stage.lastRead()).toContain("1 cancelled");
  });

  test("a task that outlives the ceiling is named as left behind, and the process exits", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [launch("alpha")] }, "I wait.", "I do without it."],
        children: { alpha: { text: "too late", delayMs: 30_000 } },
      },
      { options: { max_run_wait_seconds: 1 } },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nI do without it.\n" });
    expect(newTexts(stage.requests().at(-1))).toContain("Nobody waits for them any longer");
    expect(said(result)).toEqual([
      expect.stringMatching(/^goalkeeper: waiting for 1 background task: "alpha", at most (1|0\.\d)s more$/),
      expect.stringMatching(/^goalkeeper: waited \d+(\.\d)?s; nobody waits any longer/),
      'goalkeeper: 1 background task ends with OpenCode: "alpha"',
    ]);
  });

  test("a turn that ends without a text waits, too; what it is told is answered by the run's own agent and model", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [launch("alpha")] }, { text: "" }, "Good.", "It found nothing."],
        children: { alpha: { text: "nothing found", delayMs: 1_500 } },
      },
      {
        model: { models: { model: {}, other: {} } },
        config: { agent: { reviewer: { mode: "primary", prompt: "You review." } } },
      },
    );
    const result = await stage.run("--agent", "reviewer", "--model", "scripted/other", "look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "Good.\nIt found nothing.\n" });
    expect(stage.requests().map(({ modelID }) => modelID)).toEqual(["other", "other", "other", "other"]);
    for (const { messages } of stage.requests()) expect(JSON.stringify(messages[0])).toContain("You review.");
    expect(newTexts(stage.requests()[2])).toContain("It is kept open for them");
    expect(newTexts(stage.requests()[3])).toContain("nothing found");
    expect(said(result)).toHaveLength(2);
  });

  test("a step that calls tools is not held: what it starts runs beside what was started before", async () => {
    await using model = startTextFirstModel(
      [
        { text: "Start A.", toolCalls: [launchCall("alpha")], pauseMs: 300 },
        { text: "Start B.", toolCalls: [launchCall("beta")], pauseMs: 300 },
        { text: "I wait.", pauseMs: 500 },
        { text: "Both are done." },
      ],
      { alpha: { text: "A", delayMs: 4_000 }, beta: { text: "B", delayMs: 4_000 } },
    );
    await using opencode = createIsolatedOpencode({ model, plugins: [PLUGIN] });
    const result = await opencode.run(["run", "start both"]);
    expect(result.exitCode).toBe(0);
    expect(result.stdout).toBe("Start A.\nStart B.\nI wait.\nBoth are done.\n");
    // Both at the same time, or the first would not be at work any more.
    expect(said(result)).toContainEqual(expect.stringContaining('waiting for 2 background tasks: "alpha", "beta"'));
    expect([...model.steps.values()]).toEqual([4, 1, 1]);
  });

  test("with wait_in_run off OpenCode exits as it always does, and says what it leaves behind", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [launch("alpha")] }, "I do not wait."],
        children: { alpha: { text: "too late", delayMs: 30_000 } },
      },
      { options: { wait_in_run: false } },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I do not wait.\n" });
    expect(said(result)).toEqual(['goalkeeper: 1 background task ends with OpenCode: "alpha"']);
  });

  test("with --format json there is nothing but JSON on stdout, and nothing of ours on stderr", async () => {
    await using stage = await openRun({
      root: [{ toolCalls: [launch("alpha")] }, "I wait.", "It found nothing."],
      children: { alpha: { text: "nothing found", delayMs: 1_500 } },
    });
    const result = await stage.run("--format", "json", "look at it");
    expect(result).toMatchObject({ exitCode: 0 });
    expect(said(result)).toEqual([]);
    const ours = events(result).filter(({ type }) => type === "goalkeeper");
    expect(ours).toMatchObject([
      { event: "waiting", tasks: [{ title: "alpha", status: "running" }], until: expect.any(Number) },
      { event: "task", task: { title: "alpha", status: "completed" } },
    ]);
    // OpenCode shows a text when its step is complete, which is after the wait.
    const order = events(result).flatMap(({ type, event }) => (type === "text" ? ["text"] : (event ?? [])));
    expect(order).toEqual(["waiting", "task", "text", "text"]);
    const texts = events(result).flatMap(({ type, part }) =>
      type === "text" ? [(part as { text: string }).text] : [],
    );
    expect(texts).toEqual(["I wait.", "It found nothing."]);
  });

  test("a permission that is rejected in the main session ends the turn whatever is waited for, and that is said", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [launch("alpha")] }, { toolCalls: [{ name: "bash", args: ASKS }] }, "never said"],
        children: { alpha: { text: "too late", delayMs: 30_000 } },
      },
      { config: { permission: { "*": "allow", bash: "ask" } } },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "" });
    expect(stage.requests()).toHaveLength(2);
    expect(said(result).at(-1)).toBe('goalkeeper: 1 background task ends with OpenCode: "alpha"');
  });

  test("a prompt without tasks is not held, not written to and not commented on", async () => {
    await using stage = await openRun("Hello.");
    const result = await stage.run("say hello");
    expect(result).toMatchObject({ exitCode: 0, stdout: "Hello.\n" });
    expect(said(result)).toEqual([]);
    expect(holds(stage)).toBe(0);
    expect(rootMetadata(stage)).toEqual([undefined]);
  });

  test("a task whose result was read in the same turn is not waited for and not told again", async () => {
    await using stage = await openRun({
      root: [{ toolCalls: [launch("alpha")] }, read("alpha", { wait: true }), "It found nothing."],
      children: { alpha: { text: "nothing found", delayMs: 800 } },
    });
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "It found nothing.\n" });
    expect(stage.requests()).toHaveLength(3);
    expect(holds(stage)).toBe(0);
  });

  test("an interrupt ends the process at once, and the next one finds the task as lost", async () => {
    await using stage = await openRun({
      root: [{ toolCalls: [launch("alpha")] }, "I wait.", "Let me see.", "It is lost."],
      children: { alpha: { text: "never said", delayMs: 30_000 } },
    });
    const running = await stage.opencode.start(["run", "look at it"]);
    await until(
      "it waits for a task at work",
      () => running.stderr.includes("goalkeeper: waiting for") && hasBegun(stage),
    );
    running.signal("SIGINT");
    expect(await running.exited).toMatchObject({ signal: "SIGINT" });
    expect(await stage.run("-c", "what of it?")).toMatchObject({ exitCode: 0 });
    expect(stage.lastRead()).toContain("1 lost");
  });
});

describe.concurrent("opencode run with a goal", () => {
  test("a goal is pursued to its end in one process: three turns, with two tasks in the second", async () => {
    await using stage = await openRun({
      root: [
        "One.",
        { text: "Two.", toolCalls: [launch("alpha"), launch("beta")] },
        "I wait.",
        "I have read both.",
        COMPLETE,
        "It is done.",
      ],
      children: { alpha: { text: "A", delayMs: 800 }, beta: { text: "B", delayMs: 1_500 } },
    });
    const result = await stage.run("--command", "goal", "fix the failing test");
    expect(result).toMatchObject({ exitCode: 0, stdout: "One.\nTwo.\nI wait.\nI have read both.\nIt is done.\n" });
    expect(said(result).filter((line) => line.includes("goal "))).toEqual([
      "goalkeeper: the goal goes on, turn 2",
      "goalkeeper: the goal goes on, turn 3",
      "goalkeeper: the goal is complete",
    ]);
    const frames = continuations(stage);
    expect(frames).toHaveLength(2);
    expect(new Set(frames).size).toBe(2);
    expect(stage.requests()).toHaveLength(6);
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "complete", turns: 2, objective: "fix the failing test" });
  });

  test("a goal that reaches its limit wraps up once, and the process exits", async () => {
    await using stage = await openRun(
      { root: (request) => (newTexts(request).includes('kind="wrapup"') ? "This is left." : work(request)) },
      { options: { max_auto_turns: 2, no_progress_turns: 0 } },
    );
    const result = await stage.run("--command", "goal", "fix it");
    expect(result).toMatchObject({ exitCode: 0 });
    expect(result.stdout).toEndWith("This is left.\n");
    expect(said(result)).toContain(
      `goalkeeper: the goal is limited: 2 turns used up; to go on: opencode run -s ${storedRoot(stage)?.self} --command goal resume`,
    );
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "limited", wrapUp: "sent", turns: 2 });
  });

  test("an error that only the user can mend ends the run with OpenCode's exit code, and pauses the goal", async () => {
    await using stage = await openRun({ root: { error: { status: 401, message: "no such key" } } });
    const result = await stage.run("--command", "goal", "fix it");
    expect(result.exitCode).toBe(1);
    expect(said(result).at(-1)).toContain("the goal is paused: APIError: no such key (");
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "paused", by: "error" });
    expect(stage.requests()).toHaveLength(1);
  });

  test("a goal whose turns end without a text goes on, too, until it pauses; status and clear then answer without a model request", async () => {
    await using stage = await openRun(
      { root: ["One.", { text: "" }, { text: "" }, { text: "" }] },
      { options: { no_progress_turns: 3 } },
    );
    const paused = await stage.run("--command", "goal", "fix it");
    expect(paused).toMatchObject({ exitCode: 0, stdout: "One.\n" });
    expect(said(paused).at(-1)).toContain("the goal is paused: 3 turns in a row without a successful tool call");
    expect(continuations(stage)).toHaveLength(3);
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "paused", by: "no-progress" });
    const status = await stage.run("-c", "--command", "goal");
    expect(status).toMatchObject({ exitCode: 0 });
    expect(status.stdout).toStartWith("Goal: fix it\nState: paused: 3 turns in a row without a successful tool call\n");
    const cleared = await stage.run("-c", "--format", "json", "--command", "goal", "clear");
    expect(cleared).toMatchObject({ exitCode: 0 });
    expect(events(cleared)).toMatchObject([{ type: "goalkeeper", event: "answer", message: "Goal cleared: fix it" }]);
    expect(storedRoot(stage)?.goal).toBeUndefined();
    expect(stage.requests()).toHaveLength(4);
  });

  test("killed with a task at work: resumed, the goal goes on and is told that the task is lost; a run in another session leaves it alone, and with a foreground task nothing of its own", async () => {
    await using stage = await openRun({
      root: ({ firstUserText, step }) => (firstUserText.includes("say hello") ? HELLO : KILLED)[step] ?? "never asked",
      children: { alpha: { hang: true }, front: { text: "nothing there", delayMs: 500 } },
    });
    const first = await stage.opencode.start(["run", "--command", "goal", "fix it"]);
    await until(
      "it waits for a task at work",
      () => first.stderr.includes("goalkeeper: waiting for") && hasBegun(stage),
    );
    await first.kill();
    const asleep = storedRoot(stage);
    expect(asleep?.goal?.status).toBe("active");
    const hello = await stage.run("say hello");
    expect(hello).toMatchObject({ exitCode: 0, stdout: "Hello to you.\n" });
    expect(said(hello)).toEqual([]);
    // The session that was used last is the new one, which is what `-c` asks for, and nobody has written in the other one.
    expect(usedLast(stage)).toEqual([undefined, { goalkeeper: asleep }]);
    const resumed = await stage.run("-s", asleep?.self ?? "", "--command", "goal", "resume");
    expect(resumed).toMatchObject({ exitCode: 0, stdout: "I do it myself.\nI cannot.\n" });
    expect(said(resumed).at(-1)).toContain("the goal is blocked: no key");
    expect(JSON.stringify(stage.requests().at(-1)?.messages)).toContain("LOST");
    expect(usedLast(stage)[0]).toMatchObject({ goalkeeper: { goal: { status: "blocked" } } });
  });

  test("a continuation that comes too late, because another plugin is slow, is not silent and not lost; only the goal command wakes the goal", async () => {
    await using stage = await openRun(
      { root: ["One.", "Hello to you.", COMPLETE, "Done."] },
      { after: [[COMPANION, { storesLate: true }]] },
    );
    const toGoOn = () => `to go on: opencode run -s ${storedRoot(stage)?.self} --command goal resume`;
    const lost = await stage.run("--command", "goal", "fix it");
    expect(lost.exitCode).toBe(1);
    expect(said(lost)).toEqual([
      `goalkeeper: OpenCode ended the turn before the message that continues it was stored; nothing is lost, ${toGoOn()}`,
    ]);
    const hello = await stage.run("-c", "hello");
    expect(hello).toMatchObject({ exitCode: 0, stdout: "Hello to you.\n" });
    expect(said(hello)).toEqual([
      `goalkeeper: the goal is still active: sleeping since OpenCode was started again (until you act); ${toGoOn()}`,
    ]);
    // It is stored by then, and nobody has answered it.
    const goOn = "Go on towards the goal";
    expect(stage.requests().map(({ messages }) => JSON.stringify(messages).includes(goOn))).toEqual([false, false]);
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "active", turns: 0 });
    const resumed = await stage.run("-c", "--command", "goal", "resume");
    expect(resumed).toMatchObject({ exitCode: 0, stdout: "Done.\n" });
    expect(storedRoot(stage)?.goal?.status).toBe("complete");
  });
});

const ASKS = { command: "echo asked", description: "asks" };
const BASH = { name: "bash", args: { command: "echo hi", description: "says hi" } };
const BLOCKED = { name: "update_goal", args: { status: "blocked", blocker: "no key" } };
/** What the agent says in the other session, */
const HELLO = [{ toolCalls: [task("front", false)] }, "Hello to you."];
/** and in the goal whose first process is killed. */
const KILLED = [{ toolCalls: [launch("alpha")] }, "I wait.", "I do it myself.", { toolCalls: [BLOCKED] }, "I cannot."];

function work({ step }: ModelRequest) {
  return step % 2 === 0 ? { toolCalls: [BASH] } : `Step ${step}.`;
}

function launchCall(name: string) {
  const { args } = launch(name);
  return { name: "background_task", args: args as Record<string, unknown> };
}

function continuations(stage: RunStage): string[] {
  const all = JSON.stringify(stage.requests().at(-1)?.messages).replaceAll('\\"', '"');
  return all.match(/<goalkeeper kind="continuation" id="msg_\w+"/g) ?? [];
}

/** A task whose answer has not begun is not lost with its process: it is started again. */
function hasBegun({ model }: RunStage): boolean {
  return model.requests.some(({ parentSessionID }) => parentSessionID !== undefined);
}
