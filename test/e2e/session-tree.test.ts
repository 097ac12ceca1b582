import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { hostname } from "node:os";
import { createOpencodeClient } from "@opencode-ai/sdk/client";
import { type SessionTreeOutcome, type SessionTreeState, waitForSessionTree } from "../../src/index.ts";
import { createGate } from "../../src/testing/index.ts";
import { books } from "../session-tree/stories.ts";
import { aGoal } from "../support/builders.ts";
import { asked, calm, launch, warmUp } from "./background.ts";
import { WAIT_MS } from "./limits.ts";
import { COMPLETE, openStages, type Play, type Stage, task } from "./stage.ts";

/** A project with goalkeeper's plugin, and one without it. */
let stage: Stage;
let bare: Stage;

beforeAll(async () => {
  const nested = { subagent_depth: 2, agent: { general: { permission: { task: "allow" } } } };
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  [stage, bare] = await openStages([
    { options: { max_auto_turns: 2 }, config: { ...nested, permission } },
    { goalkeeper: false, config: { ...nested, permission } },
  ]);
  await Promise.all([warmUp(stage), warmUp(bare)]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

type Options = NonNullable<Parameters<typeof waitForSessionTree>[2]>;

function watch({ server }: Stage, play: Play, options: Options = {}) {
  const states: SessionTreeState[] = [];
  let isOver = false;
  const outcome = waitForSessionTree(server.client, play.id, {
    timeoutMs: WAIT_MS,
    ...options,
    onChange: (state) => void states.push(state),
  }).then((ended): SessionTreeOutcome => {
    isOver = true;
    return ended;
  });
  const until = (what: string, isSo: (state: SessionTreeState) => boolean) => play.until(what, () => states.some(isSo));
  return { outcome, states, until, isOver: () => isOver };
}

const BASH = (command: string) => ({ name: "bash", args: { command, description: command } });

describe.concurrent("without goalkeeper's plugin", () => {
  test("a prompt that was sent a moment ago settles when it is answered", async () => {
    const play = await bare.play(["Hello."]);
    await play.say("hello");
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled", answered: true, state: { owed: [] } });
    expect(play.requests()).toHaveLength(1);
  });

  test("a background task is waited for, and its report, and the answer to that", async () => {
    const gate = createGate();
    const play = await bare.play({
      root: [{ toolCalls: [task("research")] }, "Waiting.", "I have read it."],
      children: { research: { text: "the facts", until: gate.opened } },
    });
    const wait = watch(bare, play);
    await play.say("research it");
    await wait.until(
      "the root is idle and the child works",
      ({ rootIsIdle, owed }) => rootIsIdle && owed[0]?.why === "session-busy",
    );
    await Bun.sleep(1_000);
    expect(wait.isOver()).toBe(false);
    gate.open();
    expect(await wait.outcome).toMatchObject({ kind: "settled", answered: true });
    expect(play.requests()).toHaveLength(3);
    expect((await play.messages()).at(-1)?.parts.at(-2)).toMatchObject({ text: "I have read it." });
  });

  test("joined late, with three tasks and a nested one under way, it waits for the last of them", async () => {
    const gates = { outer: createGate(), inner: createGate() };
    const play = await bare.play({
      root: [
        { toolCalls: [task("first"), task("second"), task("outer")] },
        "Waiting.",
        "One.",
        "Two.",
        "Three.",
        "Four.",
      ],
      children: {
        first: "first result",
        second: "second result",
        outer: [{ toolCalls: [task("inner", false)] }, "outer result"],
        inner: { text: "inner result", until: gates.inner.opened },
      },
    });
    await play.say("all of it");
    await asked(bare, "inner");
    await play.untilIdle();
    const wait = watch(bare, play);
    await wait.until("what works is known", ({ owed }) => owed.length > 0);
    const titles = wait.states[0]?.sessions.map(({ title }) => title.split(" ")[0]);
    expect(titles?.slice(1).sort()).toEqual(["first", "inner", "outer", "second"]);
    await Bun.sleep(1_000);
    expect(wait.isOver()).toBe(false);
    gates.inner.open();
    expect(await wait.outcome).toMatchObject({ kind: "settled", answered: true });
    const { data } = await bare.server.client.session.status();
    expect(data?.[play.id]).toBeUndefined();
    expect((await play.prompts()).filter((text) => text.includes("outer result"))).toHaveLength(1);
  });

  test("a background task that another client aborts is never reported, and is not waited for", async () => {
    const play = await bare.play({
      root: [{ toolCalls: [task("stopped")] }, "Waiting."],
      children: { stopped: { hang: true } },
    });
    const wait = watch(bare, play);
    await play.say("send it off");
    const { sessionID } = await asked(bare, "stopped");
    await play.untilIdle();
    await bare.server.abort(sessionID);
    expect(await wait.outcome).toMatchObject({ kind: "settled" });
  });

  test("a turn that fails is an outcome with its error", async () => {
    const play = await bare.play([{ error: { status: 401, message: "the key is wrong" } }]);
    const wait = watch(bare, play);
    await play.say("hello");
    expect(await wait.outcome).toMatchObject({
      kind: "failed",
      error: { statusCode: 401, message: "the key is wrong" },
    });
    // Whoever comes later hears the same.
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "failed", error: { statusCode: 401 } });
  });

  test("an aborted root is an interrupt, and the tasks that OpenCode cancels with it are not waited for", async () => {
    const play = await bare.play({
      root: [{ toolCalls: [task("cancelled")] }, { hang: true }],
      children: { cancelled: { hang: true } },
    });
    const wait = watch(bare, play);
    await play.say("hang");
    await asked(bare, "cancelled");
    await play.until("the root works", () => play.requests().length === 2);
    await play.abort();
    expect(await wait.outcome).toMatchObject({ kind: "interrupted" });
  });

  test("an open permission request is shown, and holds it until somebody answers", async () => {
    const play = await bare.play([{ toolCalls: [BASH("echo asked")] }, "Done."]);
    await play.say("ask me");
    const early = watch(bare, play);
    await early.until("it is shown", ({ asks }) => asks.length === 1);
    const late = watch(bare, play);
    await late.until("it is shown to one who joins late", ({ asks }) => asks.length === 1);
    const [ask] = late.states.at(-1)?.asks ?? [];
    expect(ask).toMatchObject({ sessionID: play.id, kind: "permission", about: "bash: echo asked" });
    const path = { id: play.id, permissionID: ask?.askID ?? "" };
    await bare.server.client.postSessionIdPermissionsPermissionId({ path, body: { response: "once" } });
    for (const { outcome } of [early, late])
      expect(await outcome).toMatchObject({ kind: "settled", state: { asks: [] } });
  });

  test("the signal and the time end the wait, and leave the session alone", async () => {
    const gate = createGate();
    const play = await bare.play([{ text: "late", until: gate.opened }]);
    await play.say("wait");
    const caller = new AbortController();
    const wait = watch(bare, play, { signal: caller.signal });
    // It has to join in that time.
    const timeoutMs = WAIT_MS / 30;
    const short = watch(bare, play, { timeoutMs });
    await wait.until("it has joined", () => true);
    caller.abort();
    expect(await wait.outcome).toMatchObject({ kind: "aborted" });
    expect(await short.outcome).toMatchObject({ kind: "timed-out", timeoutMs, state: { rootIsIdle: false } });
    gate.open();
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled", answered: true });
  });

  test("a root that does not exist is not found; one that is deleted meanwhile is deleted", async () => {
    const nobody = "ses_000000000000aaaaaaaaaaaaaa";
    expect(await waitForSessionTree(bare.server.client, nobody)).toMatchObject({ kind: "not-found" });
    const play = await bare.play([{ hang: true }]);
    const wait = watch(bare, play);
    await play.say("hang");
    await wait.until("it works", ({ rootIsIdle }) => !rootIsIdle);
    await bare.server.client.session.delete({ path: { id: play.id } });
    expect(await wait.outcome).toMatchObject({ kind: "deleted" });
  });

  test("the goal of a process that has died is not waited for: only the user wakes it", async () => {
    const play = await bare.play(["Hello."]);
    await play.say("hello");
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled" });
    const { pid } = spawnSync("true");
    const owner = { host: hostname(), pid, processStartedAt: 0, instance: "i" };
    const metadata = books({ goal: aGoal(), owner }, play.id);
    await bare.server.client.session.update({ path: { id: play.id }, body: { metadata } as { title?: string } });
    const wait = watch(bare, play);
    await wait.until("it is waited for at first", ({ owed }) => owed[0]?.why === "goal-active");
    expect(await wait.outcome).toMatchObject({ kind: "settled", state: { goal: { status: "active" }, owed: [] } });
  });

  test("a client that names no directory waits for a root in another one", async () => {
    const play = await bare.play(["Hello."]);
    const client = createOpencodeClient({ baseUrl: bare.server.url, directory: bare.opencode.root });
    await play.say("hello");
    expect(await waitForSessionTree(client, play.id)).toMatchObject({ kind: "settled", answered: true });
  });

  test("a connection that is cut while OpenCode lives is made anew", async () => {
    const gate = createGate();
    const play = await bare.play([{ text: "Hello.", until: gate.opened }]);
    await using proxy = await openProxy(bare.server.url);
    const client = createOpencodeClient({ baseUrl: proxy.url, directory: bare.opencode.directory });
    const states: SessionTreeState[] = [];
    await play.say("hello");
    const outcome = waitForSessionTree(client, play.id, { onChange: (state) => states.push(state) });
    await play.until("it has joined", () => states.length > 0);
    proxy.cut();
    await Bun.sleep(300);
    gate.open();
    expect(await outcome).toMatchObject({ kind: "settled", answered: true });
    expect(proxy.connections()).toBeGreaterThan(1);
  });
});

describe.concurrent("with goalkeeper's plugin", () => {
  beforeAll(() => calm(stage));

  test("a launched task is waited for, its outcome, and the answer to that", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("survey")] }, "Waiting.", "I have read it."],
      children: { survey: { text: "the survey", until: gate.opened } },
    });
    const wait = watch(stage, play);
    await play.say("survey it");
    await asked(stage, "survey");
    await play.untilIdle();
    await Bun.sleep(1_000);
    expect(wait.isOver()).toBe(false);
    expect(wait.states.at(-1)?.owed.map(({ why }) => why)).toEqual(
      expect.arrayContaining(["session-busy", "task-live"]),
    );
    gate.open();
    expect(await wait.outcome).toMatchObject({ kind: "settled", answered: true, state: { owed: [] } });
    expect(play.requests()).toHaveLength(3);
    const { tasks } = (await play.stored()) ?? {};
    expect(tasks).toMatchObject([{ status: "completed", delivery: { state: "reconciled" } }]);
  });

  test("a goal is waited for through all its turns, and is in the outcome", async () => {
    const play = await stage.play(["One.", { toolCalls: [BASH("echo two")] }, "Two.", COMPLETE, "Done."]);
    const wait = watch(stage, play);
    await wait.until("it has joined", () => true);
    await play.goal("three turns");
    expect(await wait.outcome).toMatchObject({
      kind: "settled",
      state: { goal: { status: "complete", objective: "three turns", turns: 2 } },
    });
    const seen = new Set(wait.states.map(({ goal }) => goal?.status));
    expect([...seen]).toEqual([undefined, "active", "complete"]);
  });

  test("a goal that reaches its limit settles when it has wrapped up", async () => {
    const turn = (said: string) => [{ toolCalls: [BASH(`echo ${said}`)] }, said];
    const play = await stage.play(["One.", ...turn("two"), ...turn("three"), "That is where I am."]);
    const wait = watch(stage, play);
    await play.goal("never done");
    expect(await wait.outcome).toMatchObject({
      kind: "settled",
      answered: true,
      state: { goal: { status: "limited", wrapUp: "sent" } },
    });
    expect(await play.framed("wrapup")).toHaveLength(1);
  });

  test("a goal that failed turns pause settles as failed", async () => {
    const play = await stage.play([{ error: { status: 401, message: "the key is wrong" } }]);
    const wait = watch(stage, play);
    await play.goal("impossible").catch(() => undefined);
    expect(await wait.outcome).toMatchObject({ kind: "failed", state: { goal: { status: "paused", by: "error" } } });
  });

  test("a goal that the user pauses is not waited for", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "One.", until: gate.opened }]);
    const wait = watch(stage, play);
    const begun = play.goal("to be paused");
    await play.until("the turn runs", () => play.requests().length === 1);
    await play.goal("pause").catch(() => undefined);
    gate.open();
    await begun;
    expect(await wait.outcome).toMatchObject({ kind: "settled", state: { goal: { status: "paused", by: "user" } } });
  });
});

// The last ones: they end the servers that all others share.
describe("when OpenCode goes away", () => {
  const goesAway = async (kill: boolean) => {
    const play = await bare.play([{ hang: true }]);
    const wait = watch(bare, play);
    await play.say("hang");
    await wait.until("it works", ({ rootIsIdle }) => !rootIsIdle);
    const restarted = bare.restart({ kill });
    const outcome = await wait.outcome;
    await restarted;
    return { outcome, play };
  };

  test("killed, the wait ends at once and says so; the turn that it died in is not waited for", async () => {
    const { outcome, play } = await goesAway(true);
    expect(outcome).toMatchObject({ kind: "stream-closed", state: { rootIsIdle: false } });
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled", answered: false });
  });

  test("stopped, the wait ends at once and says so; when it comes back, a prompt is waited for of which nothing is seen while OpenCode still starts", async () => {
    const play = await bare.play(["Before.", "After."]);
    await play.say("before");
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled", answered: true });
    const { outcome } = await goesAway(false);
    await play.say("after");
    expect(await watch(bare, play).outcome).toMatchObject({ kind: "settled", answered: true });
    expect(play.requests()).toHaveLength(2);
    expect(outcome).toMatchObject({ kind: "stream-closed", state: { rootIsIdle: false } });
  });
});

/** Passes a connection on, and can cut all that are open. */
async function openProxy(target: string) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cut = () => {
    for (const socket of [...sockets]) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    cut,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
