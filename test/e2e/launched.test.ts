import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createGate, type ReplySpec } from "../../src/testing/index.ts";
import {
  asked,
  calm,
  cancel,
  expectSilence,
  LIST,
  launch,
  once,
  read,
  requestsOf,
  results,
  resume,
  untilAnswered,
  untilStatus,
  untilTasks,
  untilTurn,
  warmUp,
} from "./background.ts";
import { request } from "./other-client.ts";
import { openStages, type Play, type Stage } from "./stage.ts";

let stage: Stage;
/** Records go a second after their delivery. */
let brief: Stage;
/** A task is stale after two seconds without a sign of life. */
let strict: Stage;

beforeAll(async () => {
  const agent = {
    asker: { mode: "all", description: "may ask", permission: { question: "allow" } },
    planner: { mode: "primary", permission: { edit: "deny", task: "allow" } },
  };
  [stage, brief, strict] = await openStages([
    { config: { agent }, options: { max_concurrent_tasks: 0 } },
    { options: { task_cleanup_delay_seconds: 1 } },
    { options: { stale_task_seconds: 2 } },
  ]);
  await Promise.all([stage, brief, strict].map(warmUp));
});

afterAll(() => stage[Symbol.asyncDispose]());

const HALF: ReplySpec = { text: "half of it", toolCalls: [bash("echo half")] };
const HALF_THEN_HANGS = [HALF, { hang: true }];
/** The second half never comes. */
const HANGS_IN_MIDSTREAM: ReplySpec = { text: "so far so good and never this", chunks: 2, chunkMs: 600_000 };

describe.concurrent("a launched task", () => {
  beforeAll(() => calm(stage));

  test("is launched at once: its id, its place, and a session whose title says what it does", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("look around")] }, "Waiting.", "I see."],
      children: { "look around": { text: "there was nothing", until: gate.opened } },
    });
    await play.say("begin");
    await untilTurn(play, 2);
    const [launched] = await results(stage, play.id, "background_task");
    const [child, ...more] = await stage.server.children(play.id);
    expect(more).toEqual([]);
    expect(launched).toStartWith(`Launched: "look around" (${child?.id}), general, scripted/model. It starts now.\n`);
    expect(launched).toContain(`background_output({"task_id":"${child?.id}"})`);
    expect(child?.title).toBe("look around (@general)");
    gate.open();
    await untilAnswered(stage, play, 1);
  });

  test("wakes its idle parent once, in one message for the two that it had launched (D1)", async () => {
    const [first, second] = [createGate(), createGate()];
    const play = await stage.play({
      root: [{ toolCalls: [launch("first of two"), launch("second of two")] }, "Waiting.", "I have read both."],
      children: {
        "first of two": { text: "first result", until: first.opened },
        "second of two": { text: "second result", until: second.opened },
      },
    });
    await play.say("begin");
    await play.untilIdle();
    first.open();
    await untilStatus(stage, play, "first of two", "completed");
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
    second.open();
    await untilAnswered(stage, play, 2);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("Background tasks ended: 2 completed.\n");
    // Both calls of one step run at once: either session may be made first.
    expect(told).toContain("first result");
    expect(told).toContain("second result");
    await expectSilence(play);
    expect(play.requests()).toHaveLength(3);
    expect(play.requests().at(-1)?.lastUserText).toBe(told as string);
  });

  test("whose root is deleted works no longer, and neither does one below it", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("left without a root")] }, "Waiting."],
      children: {
        "left without a root": [{ toolCalls: [launch("left below")] }, { hang: true }],
        "left below": { hang: true },
      },
    });
    await play.say("begin");
    const works = await Promise.all([asked(stage, "left without a root", 1), asked(stage, "left below")]);
    await request(stage, "DELETE", `/session/${play.id}`);
    for (const work of works)
      await stage.model.waitForRequest((seen) => seen === work && seen.state === "disconnected");
  });

  test("that returns nothing has completed, and says so (T1)", async () => {
    const { told, output } = await playRead("nothing to say", { text: "" });
    expect(told).toMatch(/"nothing to say" \(ses_\w+\): completed\s*<\/goalkeeper>/);
    expect(output).toEndWith("It has said nothing.");
  });

  test("whose model answers 500 is retried by OpenCode and has not ended", async () => {
    const { play, told } = await playRead("second attempt", [
      { error: { status: 500, message: "overloaded" } },
      "it worked after all",
    ]);
    expect(told).toContain("1 completed");
    expect(told).toContain("it worked after all");
    expect(told).not.toContain("overloaded");
    expect(await play.framed("task-outcome")).toHaveLength(1);
    expect(requestsOf(stage, "second attempt")).toHaveLength(2);
  });

  test("that fails wakes its parent promptly with the error, and those beside it keep working (D2)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [
        { toolCalls: [launch("stumbling"), launch("steady left"), launch("steady right")] },
        "Waiting.",
        "One failed.",
        "I have read the rest.",
      ],
      children: {
        stumbling: { error: { status: 400, message: "no such luck" } },
        steady: { text: "steady result", until: gate.opened },
      },
    });
    await play.say("begin");
    await untilTurn(play, 3);
    const [failure] = await play.framed("task-outcome");
    expect(failure).toContain("Background tasks ended: 1 failed. 2 still work.");
    expect(failure).toContain("failed: no such luck");
    expect(requestsOf(stage, "steady left")).toMatchObject([{ state: "open" }]);
    expect(requestsOf(stage, "steady right")).toMatchObject([{ state: "open" }]);
    gate.open();
    await untilAnswered(stage, play, 3);
    const [, rest, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(rest).toContain("Background tasks ended: 2 completed.\n");
    expect(rest).not.toContain("stumbling");
  });
});

describe.concurrent("a launched task that comes to a bad end", () => {
  beforeAll(() => calm(stage));

  test("whose model answers 400 keeps its record, error and partial output, and its parent is told (T1)", async () => {
    const { play, told, output } = await playRead("outright failure", [
      HALF,
      { error: { status: 400, message: "the model is out to lunch" } },
    ]);
    expect(told).toContain("Background tasks ended: 1 failed.");
    expect(told).toContain("failed: the model is out to lunch");
    expect(told).toContain("half of it");
    expect(output).toMatch(/^"outright failure" \(ses_\w+\): failed after .+\nError: the model is out to lunch\n/);
    expect(output).toEndWith("The last that it has said:\nhalf of it");
    expect(await untilAnswered(stage, play, 1)).toMatchObject([{ status: "failed", run: { number: 1 } }]);
    const { all } = stage.server.events;
    const toasts = all.flatMap(({ type, properties }) => (type === "tui.toast.show" ? [properties.message] : []));
    expect(toasts).toContain("Background task failed: outright failure");
  });

  test("that another client deletes keeps its record and partial output, and its parent is told (T1)", async () => {
    const { told, output } = await playRead("deleted work", HALF_THEN_HANGS, async () => {
      const { sessionID } = await asked(stage, "deleted work", 1);
      await request(stage, "DELETE", `/session/${sessionID}`);
    });
    expect(told).toMatch(/cancelled \(its session was deleted\)\. Its last words: half of it/);
    expect(output).toMatch(/^"deleted work" \(ses_\w+\): cancelled after .+\nReason: its session was deleted\n/);
    expect(output).toEndWith("half of it");
    // OpenCode deletes a session and lets its model go on.
    expect(requestsOf(stage, "deleted work").at(-1)).toMatchObject({ state: "disconnected" });
  });

  test("that another client aborts keeps its record and partial output, and its parent is told (T1)", async () => {
    const { told, output } = await playRead("aborted work", HALF_THEN_HANGS, async () => {
      const { sessionID } = await asked(stage, "aborted work", 1);
      await stage.server.abort(sessionID);
    });
    expect(told).toMatch(/cancelled \(it was aborted\)\. Its last words: half of it/);
    expect(output).toMatch(/^"aborted work" \(ses_\w+\): cancelled after .+\nReason: it was aborted\n/);
    expect(output).toEndWith("half of it");
  });

  test("that its agent cancels in mid-stream keeps what it has said, and is not told again (T1)", async () => {
    const play = await stage.play({
      root: [
        { toolCalls: [launch("called back")] },
        once(() => said(stage, "so far"), cancel("called back")),
        read("called back"),
        "Cancelled.",
      ],
      children: { "called back": HANGS_IN_MIDSTREAM },
    });
    await play.say("begin");
    const { id, ...stub } = await untilStatus(stage, play, "called back", "cancelled");
    await untilTurn(play, 4);
    const [cancelled] = await results(stage, play.id, "background_cancel");
    expect(cancelled).toStartWith("Cancelled: 1. No more will be reported of it.\n");
    const [output] = await results(stage, play.id, "background_output");
    expect(output).toMatch(/^"called back" \(ses_\w+\): cancelled after .+\nReason: its agent cancelled it\n/);
    expect(output).toMatch(/so far so good$/);
    await untilAnswered(stage, play, 1);
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
    expect(stub.run.number).toBe(1);
    expect(await stage.server.client.session.status().then(({ data }) => data?.[id])).toBeUndefined();
    expect(cancelled).toContain("(its agent cancelled it). It has said: so far so good");
  });

  test("that says nothing for stale_task_seconds keeps what it has said, and its parent is told (T1)", async () => {
    const play = await strict.play({
      root: [{ toolCalls: [launch("gone quiet")] }, "Waiting.", read("gone quiet"), "I have read it."],
      children: { "gone quiet": HANGS_IN_MIDSTREAM },
    });
    await play.say("begin");
    await untilTurn(play, 4);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toMatch(/cancelled \(nothing was heard of it for 2s\)\. Its last words: so far so good\b/);
    const [output] = await results(strict, play.id, "background_output");
    expect(output).toMatch(/^"gone quiet" \(ses_\w+\): cancelled after \d.*\nReason: nothing was heard of it/);
    expect(output).toMatch(/so far so good$/);
    expect(requestsOf(strict, "gone quiet")).toMatchObject([{ state: "disconnected" }]);
  });

  test("lives on however long its tool runs: stale is never a matter of age alone (T15)", async () => {
    const play = await strict.play({
      root: [{ toolCalls: [launch("long tool")] }, "Waiting.", "I see."],
      children: { "long tool": [{ toolCalls: [bash("sleep 4")] }, "slept well"] },
    });
    await play.say("begin");
    await untilTurn(play, 3);
    const [told] = await play.framed("task-outcome");
    expect(told).toContain("1 completed");
    expect(told).toContain("slept well");
  });
});

describe.concurrent("reading a launched task", () => {
  beforeAll(() => calm(stage));

  test("answers from its session after the query window, with the same id (T11)", async () => {
    const play = await brief.play({
      root: [{ toolCalls: [launch("remembered")] }, "Waiting.", "I have read it.", read("remembered"), "Read again."],
      children: { remembered: "remembered result" },
    });
    await play.say("begin");
    await untilStatus(brief, play, "remembered", "completed");
    await untilTasks(brief, play, "the record has gone", (tasks) => tasks.length === 0);
    expect(await play.framed("task-outcome")).toHaveLength(1);
    await play.say("what was it?");
    await untilTurn(play, 5);
    const [output] = await results(brief, play.id, "background_output");
    expect(output).toMatch(/^ses_\w+: there is no record of it any more, so its session answers: completed/);
    expect(output).toEndWith("Its result:\nremembered result");
  });

  test("takes nothing away: the second time it says the same (T5)", async () => {
    const play = await stage.play({
      root: [
        { toolCalls: [launch("read twice")] },
        read("read twice", { wait: true }),
        once(() => Bun.sleep(1_100), read("read twice")),
        read("read twice", { full: true }),
        read("read twice", { full: true }),
        "Read.",
      ],
      children: { "read twice": [HALF, "the other half"] },
    });
    await play.say("begin");
    await untilTurn(play, 6);
    const [first, second, whole, again] = await results(stage, play.id, "background_output");
    expect(first).toEndWith("Its result:\nthe other half");
    expect(second).toBe(first as string);
    expect(whole).toContain("half of it");
    expect(again).toBe(whole as string);
  });

  test("pages a transcript of more than 60,000 characters in its true order, and nothing is cut (T4)", async () => {
    const STEPS = 12;
    const long = (step: number) => `step ${step} begins ${`${step}, `.repeat(1_800)}step ${step} ends`;
    const pages = read("long story", { full: true });
    const page: typeof pages = (asks) => {
      const last = asks.toolResults.at(-1)?.output ?? "";
      const more = /\[More: background_output\((\{.*\})\)\]$/.exec(last)?.[1];
      if (asks.toolResults.at(-1)?.name !== "background_output") return pages(asks);
      return more === undefined ? "Read." : { toolCalls: [{ name: "background_output", args: JSON.parse(more) }] };
    };
    const story = Array.from({ length: STEPS }, (_, step) => long(step + 1));
    const play = await stage.play({
      root: (asks) =>
        asks.step === 0 ? { toolCalls: [launch("long story")] } : asks.step === 1 ? "Waiting." : page(asks),
      children: {
        "long story": [
          ...story.slice(0, -1).map((text) => ({ text, toolCalls: [bash("echo on")] })),
          story.at(-1) ?? "",
        ],
      },
    });
    await play.say("begin");
    await untilAnswered(stage, play, 1);
    await play.untilIdle();
    const pagesRead = await results(stage, play.id, "background_output");
    expect(pagesRead.length).toBeGreaterThanOrEqual(5);
    for (const text of pagesRead) expect(text).not.toContain("truncated");
    const whole = pagesRead
      .map((text) => text.replace(/^Transcript of .*:\n/, "").replace(/\n\[More: .*\]$/, ""))
      .join("");
    expect(whole.length).toBeGreaterThan(60_000);
    let at = 0;
    for (const [index, text] of story.entries()) {
      const found = whole.indexOf(`[${index + 2}] assistant\n${text}`, at);
      expect([index, found >= at]).toEqual([index, true]);
      at = found + text.length;
    }
  });

  test("with wait returns when it has ended, and that is its delivery: no message follows", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [
        { toolCalls: [launch("waited for")] },
        read("waited for", { wait: true, timeout_seconds: 0.3 }),
        read("waited for", { wait: true }),
        "It said so.",
      ],
      children: { "waited for": { text: "worth waiting", until: gate.opened } },
    });
    await play.say("begin");
    await untilTurn(play, 3);
    await Bun.sleep(300);
    expect(play.requests()).toHaveLength(3);
    gate.open();
    await untilTurn(play, 4);
    const [inVain, result] = await results(stage, play.id, "background_output");
    expect(inVain).toContain("[It has not ended within 0.3 seconds.");
    expect(result).toEndWith("Its result:\nworth waiting");
    expect(await untilAnswered(stage, play, 1)).toMatchObject([{ status: "completed" }]);
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
  });

  test("in the turn in which it has ended counts as its delivery: no second message", async () => {
    const gate = createGate();
    const play: Play = await stage.play({
      root: [
        { toolCalls: [launch("read in time")] },
        once(async () => {
          gate.open();
          await untilStatus(stage, play, "read in time", "completed");
        }, read("read in time")),
        "I have read it.",
      ],
      children: { "read in time": { text: "just in time", until: gate.opened } },
    });
    await play.say("begin");
    expect(await untilAnswered(stage, play, 1)).toMatchObject([{ status: "completed" }]);
    const [output] = await results(stage, play.id, "background_output");
    expect(output).toEndWith("just in time");
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
    expect(play.requests()).toHaveLength(3);
  });
});

/** By itself: OpenCode gives an aborted call a quarter of a second, and has to have time for it. */
describe("waiting for a launched task", () => {
  test("stops at once when the session is aborted", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("never ending")] }, read("never ending", { wait: true, timeout_seconds: 600 })],
      children: { "never ending": { hang: true } },
    });
    await play.say("begin");
    await asked(stage, "never ending");
    const waits = async () => (await results(stage, play.id, "background_output")).includes("[running]");
    await play.until("the agent waits", waits);
    await play.abort();
    // A call that went on would have ended as an error, without an output.
    const [output] = await results(stage, play.id, "background_output");
    expect(output).toStartWith('"never ending"');
  });
});

describe.concurrent("resuming a launched task", () => {
  beforeAll(() => calm(stage));

  test("is its next run in the same session, whose outcome is told in its turn (T10)", async () => {
    const play = await stage.play({
      root: [
        { toolCalls: [launch("two parts")] },
        "Waiting.",
        resume("two parts", "Now the second part."),
        "Waiting again.",
        "I have read both.",
      ],
      children: { "two parts": ["part one is done", "part two is done"] },
    });
    await play.say("begin");
    await untilTurn(play, 5);
    const [task, ...more] = await untilAnswered(stage, play, 1);
    expect(more).toEqual([]);
    expect(task).toMatchObject({ status: "completed", run: { number: 2 } });
    const again = await asked(stage, "two parts", 1);
    expect(again.sessionID).toBe(task?.id as string);
    expect(again.lastUserText).toBe("Now the second part.");
    expect(JSON.stringify(again.messages)).toContain("part one is done");
    const [, resumed] = await results(stage, play.id, "background_task");
    expect(resumed).toStartWith(`Resumed (run 2): "two parts" (${task?.id}), general, scripted/model. It starts now.`);
    expect(resumed).not.toContain("Not reported before");
    const [first, second] = await play.framed("task-outcome");
    expect(first).toContain("part one is done");
    expect(second).toContain("part two is done");
    expect(second).not.toContain("part one is done");
    expect(play.requests()).toHaveLength(5);
  });

  test("while its first outcome is untold hands that outcome over in the answer", async () => {
    const play: Play = await stage.play({
      root: [
        { toolCalls: [launch("picked up")] },
        once(() => untilStatus(stage, play, "picked up", "completed"), resume("picked up", "Go on.")),
        "Waiting.",
        "I have read it.",
      ],
      children: { "picked up": ["the untold outcome", "the second outcome"] },
    });
    await play.say("begin");
    await untilTurn(play, 4);
    await untilAnswered(stage, play, 1);
    const [, resumed] = await results(stage, play.id, "background_task");
    expect(resumed).toMatch(/Not reported before: "picked up" .*completed[\s\S]*the untold outcome$/);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("the second outcome");
    expect(told).not.toContain("the untold outcome");
  });
});

describe.concurrent("what a launched task may not do", () => {
  beforeAll(() => calm(stage));

  test("it cannot ask a question although its agent may, and goes on when it tries to (T8)", async () => {
    const ask = { name: "question", args: { questions: [{ question: "May I?", header: "May I", options: [] }] } };
    const play = await stage.play({
      root: [{ toolCalls: [launch("curious", { agent: "asker" })] }, "Waiting.", "I see."],
      children: { curious: [{ toolCalls: [ask] }, "I decided by myself"] },
    });
    await play.say("begin", "asker");
    await untilAnswered(stage, play, 1);
    expect(play.requests()[0]?.tools).toContain("question");
    const child = await asked(stage, "curious");
    expect(child.tools).toContain("bash");
    expect(child.tools).not.toContain("question");
    expect((await asked(stage, "curious", 1)).toolResults[0]?.output).toContain("unavailable tool 'question'");
    expect((await play.framed("task-outcome"))[0]).toContain("I decided by myself");
  });

  test("it cannot edit if the agent that launched it may not", async () => {
    const write = { name: "write", args: { filePath: "written.txt", content: "x" } };
    const play = await stage.play({
      root: [{ toolCalls: [launch("editor")] }, "Waiting.", "I see."],
      children: { editor: [{ toolCalls: [write] }, "I could not write"] },
    });
    await play.say("begin", "planner");
    await untilAnswered(stage, play, 1);
    for (const { tools } of [play.requests()[0] ?? { tools: [] }, await asked(stage, "editor")]) {
      expect(tools).toContain("bash");
      expect(tools).not.toContain("write");
      expect(tools).not.toContain("edit");
    }
    expect(existsSync(join(stage.opencode.directory, "written.txt"))).toBe(false);
    expect((await play.framed("task-outcome"))[0]).toContain("I could not write");
  });
});

describe.concurrent("a launched task with tasks of its own", () => {
  beforeAll(() => calm(stage));

  test("is told about them itself, ends after them, and its root is told only about it", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("foreman")] }, "Waiting.", "I see."],
      children: {
        foreman: [
          { toolCalls: [launch("left hand"), launch("right hand")] },
          "Mine are at work.",
          "Everything is done.",
        ],
        "left hand": "left is done",
        "right hand": "right is done",
      },
    });
    await play.say("begin");
    const tasks = await untilAnswered(stage, play, 3);
    expect(tasks.map(({ title, status }) => `${title}: ${status}`)).toEqual([
      "foreman: completed",
      "left hand: completed",
      "right hand: completed",
    ]);
    const { lastUserText } = await asked(stage, "foreman", 2);
    expect(lastUserText).toContain("Background tasks ended: 2 completed.");
    expect(lastUserText).toContain("left is done");
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("Background tasks ended: 1 completed.");
    expect(told).toContain("Everything is done.");
    expect(told).not.toContain("left is done");
    expect(play.requests()).toHaveLength(3);
  });

  test("takes them along when it is cancelled", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("captain")] }, "Waiting.", cancel("captain"), LIST, "Both are cancelled."],
      children: {
        captain: [{ toolCalls: [launch("sailor")] }, { hang: true }],
        sailor: HALF_THEN_HANGS,
      },
    });
    await play.say("begin");
    const { sessionID } = await asked(stage, "sailor", 1);
    await play.say("stop");
    await untilTurn(play, 5);
    const [cancelled] = await results(stage, play.id, "background_cancel");
    expect(cancelled).toStartWith("Cancelled: 2. No more will be reported of them.\n");
    expect(cancelled).toMatch(/"sailor" .*the task that it belongs to was cancelled.*half of it/);
    const [list] = await results(stage, play.id, "background_output");
    expect(list).toContain("Background tasks: 2 cancelled.");
    await untilAnswered(stage, play, 2);
    const { data } = await stage.server.client.session.status();
    expect(data?.[sessionID]).toBeUndefined();
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
  });

  test("that fails leaves them at work, and their outcomes reach the root (D11)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("fallen")] }, "Waiting.", "It failed.", "I have read the other."],
      children: {
        fallen: [{ toolCalls: [launch("orphan")] }, { error: { status: 400, message: "fell over" } }],
        orphan: { text: "orphan result", until: gate.opened },
      },
    });
    await play.say("begin");
    await untilTurn(play, 3);
    const [failure] = await play.framed("task-outcome");
    expect(failure).toContain("failed: fell over");
    expect(requestsOf(stage, "orphan")).toMatchObject([{ state: "open" }]);
    gate.open();
    await untilAnswered(stage, play, 2);
    const [, told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("1 completed");
    expect(told).toContain("orphan result");
  });
});

/** A task that ends in some way while its parent is idle; the parent is told and then reads it. */
async function playRead(
  name: string,
  child: ReplySpec | readonly (ReplySpec | string)[],
  happens: () => Promise<void> = async () => {},
): Promise<{ play: Play; told: string | undefined; output: string | undefined }> {
  const play = await stage.play({
    root: [{ toolCalls: [launch(name)] }, "Waiting.", read(name), "I have read it."],
    children: { [name]: child },
  });
  await play.say("begin");
  await happens();
  await untilTurn(play, 4);
  await untilAnswered(stage, play, 1);
  const [told, ...more] = await play.framed("task-outcome");
  expect(more).toEqual([]);
  const [output] = await results(stage, play.id, "background_output");
  return { play, told, output };
}

/** Words that a model streams have reached OpenCode. */
async function said({ server }: Stage, words: string): Promise<void> {
  await server.events.waitFor(({ properties }) => String(properties.delta ?? "").includes(words));
}

function bash(command: string) {
  return { name: "bash", args: { command, description: command } };
}
