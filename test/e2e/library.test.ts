import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { TaskManager } from "../../src/library/task-manager.ts";
import type { Task } from "../../src/tasks/task.ts";
import { createGate, type ReplyFunction } from "../../src/testing/index.ts";
import { AUTHOR_URL, type AuthorCall, type SeenChange } from "./library-author.ts";
import { until } from "./limits.ts";
import { logLines, vanish } from "./other-client.ts";
import { COMPLETE, openStages, PLUGIN, type Play, type Stage, textOf } from "./stage.ts";

const root = fileURLToPath(PLUGIN);
/** A project of another author, with the built package among its dependencies, as npm would put it there. */
let place: string;
/** OpenCode with the two plugins of other authors, and without ours. */
let alone: Stage;
/** The same with ours. */
let beside: Stage;

const MANAGERS = {
  author: { max_task_depth: 2, max_concurrent_tasks: 0 },
  brief: { task_cleanup_delay_seconds: 0.2 },
  leaver: {},
  single: { max_concurrent_tasks: 1, resume_on_start: true, missing_task_grace_seconds: 0.5 },
};
type Key = keyof typeof MANAGERS;

const SHELL = { name: "bash", args: { command: "echo hi", description: "greets" } };

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "goalkeeper-library-"));
  const modules = join(place, "node_modules");
  mkdirSync(join(modules, "opencode-goalkeeper"), { recursive: true });
  for (const part of ["dist", "package.json"])
    cpSync(join(root, part), join(modules, "opencode-goalkeeper", part), { recursive: true });
  for (const peer of ["@opencode-ai", "@types"]) symlinkSync(join(root, "node_modules", peer), join(modules, peer));
  cpSync(join(root, "examples/second-opinion"), join(place, "second-opinion"), {
    recursive: true,
    filter: (path) => !path.includes("node_modules"),
  });
  cpSync(join(root, "test/e2e/library-author.ts"), join(place, "library-author.ts"));
  const others = [join(place, "second-opinion"), [join(place, "library-author.ts"), MANAGERS]] as const;
  [alone, beside] = await openStages([
    { goalkeeper: false, after: others },
    { before: [others[0]], after: [others[1]] },
  ]);
});

afterAll(async () => {
  await alone?.[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
});

// One after the other: the first turns of an OpenCode that has just started take seconds.
describe("the example, without goalkeeper's own plugin", () => {
  test("two reviewers work at the same time, one follows up, and the result of the tool tells it all", async () => {
    const play = await playOpinions(alone, "Is it safe?");
    await play.say("ask two");
    await play.until("the root has the result", () => play.requests().length === 2);
    const [result = ""] = play.requests()[1]?.toolResults.map(({ output }) => output) ?? [];
    for (const said of ["opinion A", "opinion B", "I stay with it", "Nothing is owed any more."])
      expect(result).toContain(said);
    expect(result.match(/: completed/g)).toHaveLength(3);
    await play.untilIdle();
    await Bun.sleep(500);
    expect(await play.prompts()).toEqual(["ask two"]);
    expect(await alone.server.children(play.id)).toMatchObject([
      { title: "opinion 1 (@general)", parentID: play.id },
      { title: "opinion 2 (@general)", parentID: play.id },
    ]);
    expect(Object.keys(await alone.server.metadata(play.id))).toEqual(["second-opinion"]);
  });

  test("a reviewer that fails is in the result, and its failure is in the log of the author's plugin", async () => {
    const reviewers = [{ agent: "explore" }, {}];
    const play = await alone.play({
      root: [{ toolCalls: [opinion("Is it quick?", reviewers)] }, "I see."],
      children: { "Is it quick?": { error: { status: 400, message: "no opinion today" } } },
    });
    await play.say("ask two");
    await play.until("the root has the result", () => play.requests().length === 2);
    const [result = ""] = play.requests()[1]?.toolResults.map(({ output }) => output) ?? [];
    expect(result.match(/failed\nno opinion today/g)).toHaveLength(2);
    const logged = () => alone.opencode.readLog().match(/the reviewer \\?"opinion \d\\?" failed: no opinion today/g);
    await play.until("both are logged", () => new Set(logged()).size === 2);
    expect(logged()).toHaveLength(2);
    const [first] = await alone.server.children(play.id);
    expect(first?.title).toBe("opinion 1 (@explore)");
  });

  test("the user's interrupt ends the wait and the reviewers, and nothing speaks after it (D9)", async () => {
    const play = await alone.play({
      root: [{ toolCalls: [opinion("Is it late?")] }],
      children: { "Is it late?": { text: "half an opinion", chunks: 2, chunkMs: 20, keepOpenMs: Infinity } },
    });
    await play.say("ask two");
    await untilAsked(alone, play, 2);
    await play.abort();
    await play.untilIdle();
    for (const { id } of await alone.server.children(play.id)) {
      const last = async () => (await alone.server.messages(id)).at(-1)?.info;
      await play.until("the reviewer has ended", async () => JSON.stringify(await last()).includes("MessageAborted"));
    }
    await Bun.sleep(500);
    expect(play.requests()).toHaveLength(1);
    expect(await play.prompts()).toEqual(["ask two"]);
  });

  test("it type-checks against the published types", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const options = "--noEmit --strict --skipLibCheck --module nodenext --target esnext --types node --pretty false";
    const files = ["second-opinion/second-opinion.ts", "library-author.ts"];
    const result = spawnSync("node", [tsc, ...options.split(" "), ...files], { cwd: place, encoding: "utf8" });
    expect(result.stdout).toBe("");
  });
});

describe.concurrent("a task manager of another plugin", () => {
  const author = manager(() => alone, "author");

  test("launches children, watches them, and tells their idle parent once in one message (D1)", async () => {
    const gate = createGate();
    const play = await alone.play({
      root: ["Hello.", "I have read both."],
      children: {
        swift: { text: "swift result", until: gate.opened },
        slow: { text: "slow result", until: gate.opened.then(() => Bun.sleep(200)) },
      },
    });
    await play.say("hello");
    await play.untilIdle();
    const [swift, slow] = await Promise.all([launch(author, play, "swift"), launch(author, play, "slow")]);
    expect([swift, slow]).toMatchObject([
      { status: "queued", origin: "launched", parentID: play.id, rootID: play.id, title: "swift", run: { number: 1 } },
      { status: "queued", origin: "launched", parentID: play.id, rootID: play.id, title: "slow", run: { number: 1 } },
    ]);
    await untilAsked(alone, play, 2);
    const children = await alone.server.children(play.id);
    const titles = children.map(({ title, parentID }) => [title, parentID]).sort();
    expect(titles).toEqual([
      ["slow (@general)", play.id],
      ["swift (@general)", play.id],
    ]);
    const [prompt] = await alone.server.messages(swift.id);
    expect(prompt === undefined ? "" : textOf(prompt)).toBe("swift: do your part");

    expect(await author.list(play.id)).toMatchObject([{ queuePosition: 0 }, { queuePosition: 0 }]);
    expect((await author.owed(play.id)).map(({ task, why }) => [task.title, why]).sort()).toEqual([
      ["slow", "live"],
      ["swift", "live"],
    ]);
    gate.open();
    await play.until("the root has answered", () => play.requests().length === 2);
    await play.until("nothing is owed any more", async () => (await author.owed(play.id)).length === 0);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("2 completed");
    for (const words of ["swift result", "slow result"]) expect(told?.split(words)).toHaveLength(2);

    const steps = (await author.changes()).filter(({ taskID, from, to }) => taskID === swift.id && from !== to);
    expect(steps.map(({ to }) => to)).toEqual(["queued", "running", "completed"]);
    expect(await author.get(swift.id)).toMatchObject({ status: "completed", delivery: { state: "reconciled" } });
    const once = await author.output(swift.id);
    expect(once).toMatchObject({ status: "completed", text: "swift result", usage: { tokens: expect.any(Number) } });
    expect(await author.output(swift.id)).toEqual(once);
  });

  test("resumes an ended task as the next run of the same session, and is deaf to the run before (T9, T10)", async () => {
    const gate = createGate();
    const play = await alone.play({
      root: ["Hello.", "I have read it.", "And again."],
      children: { again: ["first result", { text: "second result", until: gate.opened }] },
    });
    await play.say("hello");
    const { id } = await launch(author, play, "again");
    await play.until("the first run is answered", async () => (await author.owed(play.id)).length === 0);
    const { task, earlier } = await author.resume({ taskID: id, callerID: play.id, prompt: "again, please" });
    expect([task.id, task.run.number, earlier]).toEqual([id, 2, undefined]);
    await alone.model.waitForRequest(({ sessionID, step }) => sessionID === id && step === 1);
    const idle = { sessionID: id };
    await author.event({ type: "session.status", properties: { ...idle, status: { type: "idle" } } });
    await author.event({ type: "session.idle", properties: idle });
    await Bun.sleep(1_000);
    expect((await author.owed(play.id)).map(({ why }) => why)).toEqual(["live"]);
    gate.open();
    expect(await author.wait(id, { timeoutMs: 20_000 })).toMatchObject({
      status: "completed",
      outcome: { text: "second result" },
    });
    await play.until("the second run is answered", async () => (await author.owed(play.id)).length === 0);
    const told = await play.framed("task-outcome");
    expect(told.map((text) => /(first|second) result/.exec(text)?.[0])).toEqual(["first result", "second result"]);
  });

  test("cancels a task, keeps what it has said, and tells its parent (T1)", async () => {
    const play = await alone.play({
      root: ["Hello.", "I have read it."],
      children: { stopped: [{ text: "half of it", toolCalls: [SHELL] }, { hang: true }] },
    });
    await play.say("hello");
    const { id } = await launch(author, play, "stopped");
    await alone.model.waitForRequest(({ sessionID, step }) => sessionID === id && step === 1);
    expect(await author.cancel(id, "it is not needed any more")).toMatchObject({ status: "cancelled" });
    expect(await author.cancel(id)).toMatchObject({ outcome: { reason: "it is not needed any more" } });
    await play.until("the parent has answered", async () => (await author.owed(play.id)).length === 0);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("it is not needed any more");
    expect(told).toContain("half of it");
    expect(await author.output(id)).toMatchObject({ status: "cancelled", text: "half of it" });
  });

  test("refuses an unknown agent, a nesting that is too deep, and an id that nobody knows (T16, Z2)", async () => {
    const play = await alone.play({
      root: ["Hello.", "One.", "Two.", "Three."],
      children: { "*": { hang: true } },
    });
    await play.say("hello");
    const wishes = { description: "x", prompt: "x: do your part" };
    const refused = (answer: Promise<unknown>) => answer.catch(({ name, message }: Error) => `${name}: ${message}`);
    const unknownAgent = author.launch({ ...wishes, parentID: play.id, agent: "nobody" });
    expect(await refused(unknownAgent)).toMatch(/^LaunchError: There is no agent "nobody". Available: .*general/);
    const outer = await launch(author, play, "outer");
    const inner = await author.launch({ ...wishes, parentID: outer.id });
    expect(inner).toMatchObject({ rootID: play.id, parentID: outer.id });
    const tooDeep = author.launch({ ...wishes, parentID: inner.id });
    expect(await refused(tooDeep)).toMatch(/^LaunchError: Tasks may be nested 2 deep/);
    const gone = "ses_000000000000aaaaaaaaaaaaaa";
    expect(await refused(author.launch({ ...wishes, parentID: gone }))).toMatch(/^LaunchError: There is no session/);
    expect(await refused(author.output(gone))).toMatch(/^TaskNotFoundError: There is no task ses_/);
    expect(await author.get(gone)).toBeUndefined();
    const ended = await author.cancelAll(play.id);
    expect(ended).toMatchObject([{ id: outer.id, status: "cancelled" }]);
    expect((await author.list(play.id)).map(({ task }) => task.status)).toEqual(["cancelled", "cancelled"]);
    expect(await alone.server.children(inner.id)).toEqual([]);
  });

  test("a wait ends when its time is up, and the task goes on", async () => {
    const gate = createGate();
    const play = await alone.play({
      root: ["Hello.", "Read."],
      children: { patient: { text: "patient result", until: gate.opened } },
    });
    await play.say("hello");
    const { id } = await launch(author, play, "patient");
    await untilAsked(alone, play, 1);
    expect(await author.wait(id, { timeoutMs: 100 })).toMatchObject({ id, status: "running" });
    gate.open();
    expect(await author.wait(id, { timeoutMs: 20_000 })).toMatchObject({ id, status: "completed" });
  });

  test("leaves the children of others alone", async () => {
    const play = await alone.play({
      root: ["Hello.", "I have read it."],
      children: { stranger: "stranger's result", own: "own result" },
    });
    await play.say("hello");
    await play.untilIdle();
    const { id } = await launch(author, play, "own");
    const child = await alone.server.createSession({ parentID: play.id, title: "stranger" });
    await alone.server.prompt(child.id, "stranger: do something");
    await alone.server.waitForIdle(child.id);
    await play.until("its own is answered", async () => (await author.owed(play.id)).length === 0);
    await play.untilIdle();
    expect((await author.list(play.id)).map(({ task }) => task.id)).toEqual([id]);
    expect((await play.prompts()).filter((text) => text.includes("stranger"))).toEqual([]);
    expect(await alone.server.metadata(play.id)).toMatchObject({ author: { tasks: [{ id }] } });
  });

  test("an id outlives its record: after the query window the session answers (T11)", async () => {
    const brief = manager(() => alone, "brief");
    const play = await alone.play({ root: ["Hello.", "Read."], children: { remembered: "remembered result" } });
    await play.say("hello");
    const { id } = await launch(brief, play, "remembered");
    await play.until("the record has gone", async () => (await brief.get(id)) === undefined);
    expect((await brief.changes()).findLast(({ taskID }) => taskID === id)).toMatchObject({ event: "cleanup" });
    const output = await brief.output(id);
    expect(output).toMatchObject({ taskID: id, status: "completed", text: "remembered result" });
    expect(output.task).toBeUndefined();
    expect(await brief.list(play.id)).toEqual([]);
  });

  test("after dispose no event has an effect", async () => {
    const leaver = manager(() => alone, "leaver");
    const gate = createGate();
    const play = await alone.play({
      root: ["Hello."],
      children: { "left behind": { text: "unread result", until: gate.opened } },
    });
    await play.say("hello");
    await play.untilIdle();
    const { id } = await launch(leaver, play, "left behind");
    await untilAsked(alone, play, 1);
    await leaver.dispose();
    const [before, metadata] = [await leaver.changes(), await alone.server.metadata(play.id)];
    gate.open();
    await alone.server.waitForIdle(id, { from: 0 });
    await Bun.sleep(1_000);
    expect(await leaver.changes()).toEqual(before);
    expect(await alone.server.metadata(play.id)).toEqual(metadata);
    expect(await play.prompts()).toEqual(["hello"]);
    const refused = await launch(leaver, play, "too late").catch(({ name }: Error) => name);
    expect(refused).toBe("LaunchError");
  });
});

describe.concurrent("beside goalkeeper's own plugin", () => {
  const author = manager(() => beside, "author");

  test("a goal waits for the tasks of another plugin, and goes on after they were told, once (S1, S2)", async () => {
    const gate = createGate();
    const answers: ReplyFunction = ({ step, toolResults, lastUserText }) => {
      if (step === 0) return "First turn.";
      if (toolResults.length > 0) return "Done.";
      return lastUserText.includes('kind="continuation"') ? COMPLETE : "I have read it.";
    };
    const play = await beside.play({
      root: answers,
      children: { helper: { text: "helper result", until: gate.opened } },
    });
    const launched = launch(author, play, "helper");
    await play.goal("wait for the helper");
    const { id } = await launched;
    await play.until("goalkeeper follows it", async () => (await play.stored())?.tasks[0]?.id === id);
    await play.untilIdle();
    await Bun.sleep(500);
    expect(await play.framed("continuation")).toEqual([]);
    expect((await play.stored())?.goal?.turns).toBe(0);
    gate.open();
    const { goal } = await play.untilGoal("complete");
    // Told before the goal went on: its one turn had the result.
    expect(goal?.turns).toBe(1);
    await play.until("nothing is owed any more", async () => (await author.owed(play.id)).length === 0);
    await play.untilIdle();
    expect((await play.prompts()).filter((text) => text.includes("helper result"))).toHaveLength(1);
    const { goalkeeper, author: kept, ...others } = await beside.server.metadata(play.id);
    expect(goalkeeper).toMatchObject({ tasks: [{ id, origin: "adopted", status: "completed" }] });
    expect(kept).toMatchObject({ tasks: [{ id, origin: "launched", delivery: { state: "reconciled" } }] });
    expect(others).toEqual({});
    // Two that mend each other's writes at the same time would go on without end.
    const written = () => updates(beside, play);
    await Bun.sleep(500);
    const before = written();
    await Bun.sleep(500);
    expect([written() - before, before < 60]).toEqual([0, true]);
  });

  test("a task of another plugin that is lost is told once, although both plugins see it (M7)", async () => {
    const play = await beside.play({
      root: ({ step, toolResults, lastUserText }) => {
        if (step === 0) return "First turn.";
        if (toolResults.length > 0) return "Done.";
        return lastUserText.includes('kind="continuation"') ? COMPLETE : "I have read it.";
      },
      children: { ghost: { hang: true } },
    });
    const launched = launch(author, play, "ghost");
    await play.goal("lose a ghost");
    const { id } = await launched;
    await untilAsked(beside, play, 1);
    vanish(beside, id);
    await beside.server.abort(id);
    await play.untilGoal("complete");
    await play.until("nothing is owed any more", async () => (await author.owed(play.id)).length === 0);
    await play.untilIdle();
    expect((await play.prompts()).filter((text) => text.includes("LOST"))).toHaveLength(1);
  });

  test("the example works in the turn of a goal, and nothing is told twice", async () => {
    const play = await playOpinions(beside, "Is it sound?", [COMPLETE, "Done."]);
    await play.goal("ask two");
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    await play.untilIdle();
    const prompts = await play.prompts();
    expect(prompts.filter((text) => /opinion [AB]/.test(text))).toEqual([]);
    expect(await play.framed("task-outcome")).toEqual([]);
    const metadata = await beside.server.metadata(play.id);
    expect(Object.keys(metadata).sort()).toEqual(["goalkeeper", "second-opinion"]);
    expect(metadata.goalkeeper).toMatchObject({ tasks: [{ origin: "adopted" }, { origin: "adopted" }] });
  });
});

// All at once: a start of OpenCode costs seconds.
describe("killed with SIGKILL, started again", () => {
  const halfThenHangs = [{ text: "half way there", toolCalls: [SHELL] }, { hang: true }];
  const root: ReplyFunction = ({ step, toolResults, lastUserText }) => {
    if (step === 0) return "First turn.";
    if (toolResults.length > 0) return "Done.";
    return lastUserText.includes('kind="continuation"') ? COMPLETE : "I have read it.";
  };
  let plays: { readonly woken: Play; readonly asleep: Play };
  let lost: { readonly woken: Task; readonly asleep: Task };

  let awake: Play;
  let asleep: Play;
  let first: Task;
  let second: Task;
  let sleeper: Task;

  beforeAll(async () => {
    await playBeside();
    await playAlone();
    await alone.restart({ kill: true });
  });

  describe("beside goalkeeper's own plugin", () => {
    const author = manager(() => beside, "author");

    test("a lost task that its manager tells at once is not told again when the goal goes on (M7)", async () => {
      const { woken: play } = plays;
      await play.until("its manager has told it", async () => (await play.framed("task-outcome")).length === 1);
      await play.untilIdle();
      await play.say("go on");
      await play.untilGoal("complete");
      await play.untilIdle();
      expect((await play.prompts()).filter((text) => text.includes("LOST"))).toHaveLength(1);
    });

    test("one that both tell when the user writes is told by one of them (M7)", async () => {
      const { asleep: play } = plays;
      const isLost = async () => (await author.get(lost.asleep.id))?.status === "lost";
      await play.until("the task is known to be lost", isLost);
      await play.until("here, too", async () => (await play.stored())?.tasks[0]?.status === "lost");
      await Bun.sleep(2_500);
      await play.say("go on");
      await play.untilGoal("complete");
      await play.until("nothing is owed any more", async () => (await author.owed(play.id)).length === 0);
      await play.untilIdle();
      const told = (await play.prompts()).filter((text) => text.includes("LOST"));
      expect(told).toHaveLength(1);
      expect(told[0]).toContain(lost.asleep.id);
    });
  });

  describe("without goalkeeper's own plugin", () => {
    const [single, author] = [manager(() => alone, "single"), manager(() => alone, "author")];

    test("with resume_on_start a running task is lost and told, a queued one started, and nothing twice (M6)", async () => {
      await awake.until("both were told", async () => {
        const told = (await awake.framed("task-outcome")).join("\n");
        return told.includes("second result") && told.includes("LOST");
      });
      await awake.until("nothing is owed any more", async () => (await single.owed(awake.id)).length === 0);
      await awake.untilIdle();
      const views = await single.list(awake.id);
      expect(views.map(({ task }) => [task.id, task.status, task.run.number])).toEqual([
        [first.id, "lost", 1],
        [second.id, "completed", 1],
      ]);
      const told = (await awake.framed("task-outcome")).join("\n");
      for (const words of ["second result", "LOST", "half way there"]) expect(told.split(words)).toHaveLength(2);
      expect(alone.model.requests.filter(({ sessionID }) => sessionID === second.id)).toHaveLength(1);
      const prompts = (await alone.server.messages(second.id)).filter(({ info }) => info.role === "user");
      expect(prompts.map(textOf)).toEqual(["second: do your part"]);
    });

    test("without it nothing is said before the user writes, and then once (M6)", async () => {
      const isLost = async () => (await author.get(sleeper.id))?.status === "lost";
      await asleep.until("the task is known to be lost", isLost);
      await Bun.sleep(500);
      expect(await asleep.prompts()).toEqual(["hello"]);
      await asleep.say("go on");
      await asleep.until("nothing is owed any more", async () => (await author.owed(asleep.id)).length === 0);
      await asleep.untilIdle();
      const told = (await asleep.prompts()).filter((text) => text.includes("LOST"));
      expect(told).toHaveLength(1);
      expect(told[0]).toContain(sleeper.id);
    });
  });

  async function playBeside(): Promise<void> {
    const [single, author] = [manager(() => beside, "single"), manager(() => beside, "author")];
    const woken = await beside.play({ root, children: { woken: halfThenHangs } });
    const asleep = await beside.play({ root, children: { asleep: halfThenHangs } });
    plays = { woken, asleep };
    const launched = [launch(single, woken, "woken"), launch(author, asleep, "asleep")] as const;
    await Promise.all([woken.goal("outlive a kill"), asleep.goal("outlive a kill")]);
    lost = { woken: await launched[0], asleep: await launched[1] };
    for (const { id } of Object.values(lost))
      await beside.model.waitForRequest(({ sessionID, step }) => sessionID === id && step === 1);
    for (const [play, { id }] of [
      [woken, lost.woken],
      [asleep, lost.asleep],
    ] as const)
      await play.until("both keep it", async () => {
        const { goalkeeper, ...others } = await beside.server.metadata(play.id);
        return [goalkeeper, ...Object.values(others)].every((kept) => (kept as StoredRoot).tasks[0]?.id === id);
      });
  }

  async function playAlone(): Promise<void> {
    const [single, author] = [manager(() => alone, "single"), manager(() => alone, "author")];
    awake = await alone.play({
      root: ["Hello.", "One is lost.", "I have read the other one."],
      children: { first: halfThenHangs, second: "second result" },
    });
    asleep = await alone.play({
      root: ["Hello.", "I go on.", "One is lost."],
      children: { sleeper: halfThenHangs },
    });
    for (const play of [awake, asleep]) {
      await play.say("hello");
      await play.untilIdle();
    }
    first = await launch(single, awake, "first");
    second = await launch(single, awake, "second");
    sleeper = await launch(author, asleep, "sleeper");
    for (const { id } of [first, sleeper])
      await alone.model.waitForRequest(({ sessionID, step }) => sessionID === id && step === 1);
    expect((await single.list(awake.id)).map(({ task, queuePosition }) => [task.status, queuePosition])).toEqual([
      ["running", 0],
      ["queued", 1],
    ]);
    await untilStored(awake, "single", 2);
    await untilStored(asleep, "author", 1);
  }
});

test("beside each other neither finds a second copy of itself, or anything wrong in its state (S1, S2)", () => {
  expect(logLines(beside).filter((line) => /another copy|cannot be read|set aside|ERROR/.test(line))).toEqual([]);
});

/** A reviewer answers its first question only when both were asked: one after the other would wait for ever. */
async function playOpinions(stage: Stage, question: string, rest: readonly (typeof COMPLETE | string)[] = []) {
  const names = ["A", "B"];
  const bothAsked = createGate();
  const reviews: ReplyFunction = ({ step }) => {
    if (step > 0) return "I stay with it";
    const name = names.shift();
    if (names.length === 0) bothAsked.open();
    return { text: `opinion ${name}`, until: bothAsked.opened };
  };
  return stage.play({
    root: [{ toolCalls: [opinion(question)] }, "Thank you.", ...rest],
    children: { [question]: reviews },
  });
}

function opinion(question: string, reviewers: readonly unknown[] = []) {
  return { name: "second_opinion", args: { question, reviewers } };
}

/** A manager as it is called from inside OpenCode, where each answer takes a moment. */
type Remote = {
  readonly [M in keyof TaskManager]: (
    ...args: Parameters<TaskManager[M]>
  ) => Promise<Awaited<ReturnType<TaskManager[M]>>>;
} & { readonly changes: () => Promise<readonly SeenChange[]> };

function manager(stage: () => Stage, key: Key): Remote {
  const call =
    (method: string) =>
    async (...args: readonly unknown[]): Promise<unknown> => {
      const call: AuthorCall = { key, method, args };
      const response = await fetch(await authorURL(stage()), { method: "POST", body: JSON.stringify(call) });
      const { value, error } = (await response.json()) as { value?: unknown; error?: Error };
      if (error !== undefined) throw Object.assign(new Error(error.message), { name: error.name });
      return value;
    };
  return new Proxy({} as Remote, { get: (_, method) => call(String(method)) });
}

/** The file of a process that was killed stays until the next one has started. */
async function authorURL({ opencode }: Stage): Promise<string> {
  const file = join(opencode.directory, AUTHOR_URL);
  const url = () => (existsSync(file) ? readFileSync(file, "utf8") : "");
  await until("the author's plugin answers", async () => url() !== "" && (await isUp(url())));
  return url();
}

async function isUp(url: string): Promise<boolean> {
  const body: AuthorCall = { key: "", method: "changes", args: [] };
  return fetch(url, { method: "POST", body: JSON.stringify(body) }).then(
    () => true,
    () => false,
  );
}

async function untilStored(play: Play, key: Key, count: number): Promise<void> {
  const stored = async () => (await alone.server.metadata(play.id))[key] as StoredRoot | undefined;
  await play.until(`${count} tasks are stored`, async () => (await stored())?.tasks.length === count);
}

function launch(author: Remote, play: Play, name: string) {
  return author.launch({ parentID: play.id, description: name, prompt: `${name}: do your part` });
}

/** How often the session of a root was written. */
function updates({ server }: Stage, play: Play): number {
  return server.events.all.filter(
    ({ type, properties }) => type === "session.updated" && properties.info?.id === play.id,
  ).length;
}

/** Waits until so many children of a root have made a request. */
async function untilAsked({ model }: Stage, play: Play, count: number): Promise<void> {
  const asked = () => model.requests.filter(({ parentSessionID }) => parentSessionID === play.id);
  await play.until(`${count} children were asked`, () => new Set(asked().map((r) => r.sessionID)).size >= count);
}
