import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createGate, type OpencodeServer } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { type CliStage, openCliStage } from "./goalkeeper-run.ts";
import { patientServer, SERVE } from "./limits.ts";
import { COMPLETE, PLUGIN, task } from "./stage.ts";

let stage: CliStage;
/** It listens for the runs that attach themselves. */
let server: OpencodeServer;

beforeAll(async () => {
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  stage = await openCliStage({ options: { max_auto_turns: 2 }, config: { permission } });
  server = patientServer(await stage.opencode.serve(SERVE));
});

afterAll(() => stage?.[Symbol.asyncDispose]());

const BASH = (command: string) => ({ name: "bash", args: { command, description: command } });
const BLOCKED = { toolCalls: [{ name: "update_goal", args: { status: "blocked", blocker: "there is no key" } }] };

/** On the server that listens already. */
function attached(args: readonly string[], options: { stdin?: string } = {}) {
  return stage.start(["run", "--attach", server.url, ...args], options);
}

/** In the project without our plugin. */
function attachedBare(args: readonly string[]) {
  return attached(["--dir", stage.bare, ...args]);
}

describe.concurrent("goalkeeper run with a server of its own", () => {
  test("prints the answer on stdout, progress on stderr, and leaves no process behind", async () => {
    const prompt = stage.script("alone", ["Hello from the agent."]);
    const run = stage.start(["run", prompt]);
    await run.until("the session is there", () => run.stderr().includes("prompt in ses_"));
    expect(run.processes().length).toBeGreaterThan(2);
    const { code, stdout, stderr } = await run.ended;
    expect([code, stdout]).toEqual([0, "Hello from the agent.\n"]);
    expect(stderr).toContain("goalkeeper: answered\n");
    expect(run.processes()).toEqual([]);
  });

  test("one Ctrl-C interrupts the agent, waits for its end and exits 130, with no process left", async () => {
    const prompt = stage.script("once", {
      root: [{ toolCalls: [launch("endless")] }, { hang: true }],
      children: { endless: { hang: true } },
    });
    const run = stage.start(["run", "--goal", "--format", "json", prompt]);
    await run.until("the agent works", () => stage.requests("once").length === 2);
    run.process.kill("SIGINT");
    const { code } = await run.ended;
    expect(code).toBe(130);
    expect(run.events()).toContainEqual(expect.objectContaining({ type: "interrupting", because: "signal" }));
    expect(run.events()).toContainEqual(expect.objectContaining({ type: "goal", status: "paused" }));
    expect(run.events().at(-1)).toMatchObject({ type: "ended", exitCode: 130, outcome: "interrupted" });
    expect(run.processes()).toEqual([]);
  });

  test("the second Ctrl-C ends everything at once", async () => {
    const prompt = stage.script("twice", [{ hang: true }]);
    const run = stage.start(["run", "--format", "json", prompt]);
    await run.until("the agent works", () => stage.requests("twice").length === 1);
    // It hears nothing any more: only the second one can end this.
    const [, , opencode = 0] = run.processes();
    process.kill(opencode, "SIGSTOP");
    run.process.kill("SIGINT");
    await Bun.sleep(1_500);
    expect(run.process.exitCode).toBeNull();
    run.process.kill("SIGINT");
    expect((await run.ended).code).toBe(130);
    // An end that it had waited for would be told.
    expect(run.events().map(({ type }) => type)).not.toContain("ended");
    await run.until("no process is left", () => run.processes().length === 0);
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("%s of the program leaves no process behind", async (signal) => {
    const prompt = stage.script(`by-${signal}`, [{ hang: true }]);
    const run = stage.start(["run", prompt]);
    await run.until("the agent works", () => stage.requests(`by-${signal}`).length === 1);
    run.process.kill(signal);
    const ended = await run.ended;
    expect(signal === "SIGTERM" ? ended.code : ended.signal).toBe(signal === "SIGTERM" ? 130 : "SIGKILL");
    await run.until("no process is left", () => run.processes().length === 0);
  });

  test("exits 2 when there is no opencode on the PATH, and says what to do", async () => {
    const node = spawnSync("node", ["-p", "process.execPath"], { encoding: "utf8" }).stdout.trim();
    const path = node.slice(0, node.lastIndexOf("/"));
    const { code, stdout, stderr } = await stage.start(["run", "hello"], { env: { PATH: path } }).ended;
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("There is no `opencode` on the PATH");
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe.concurrent("goalkeeper run on a server that listens", () => {
  test("reads the prompt from the standard input", async () => {
    const prompt = stage.script("piped", ["Read."]);
    const { code, stdout } = await attached([], { stdin: `${prompt}\n` }).ended;
    expect([code, stdout]).toEqual([0, "Read.\n"]);
  });

  test("waits for a background task, whose result the agent has answered", async () => {
    const prompt = stage.script("one-native", {
      root: [{ text: "Sent.", toolCalls: [task("single")] }, "I wait.", "I have read it."],
      children: { single: { text: "single result", delayMs: 1_500 } },
    });
    const { code, stdout } = await attachedBare([prompt]).ended;
    expect([code, stdout]).toEqual([0, "Sent.\nI wait.\nI have read it.\n"]);
  });

  test("waits for three background tasks of OpenCode's own, and for the answers to their reports", async () => {
    const gate = createGate();
    const slow = (text: string) => ({ text, until: gate.opened });
    const prompt = stage.script("native", {
      root: [{ toolCalls: [task("red"), task("green"), task("blue")] }, "I wait.", "One.", "Two.", "Three."],
      children: { red: slow("red result"), green: slow("green result"), blue: "blue result" },
    });
    const run = attachedBare(["--format", "json", prompt]);
    await run.until("the root waits", () =>
      run.events().some((event) => event.type === "waiting" && event.for.length > 0),
    );
    gate.open();
    const { code } = await run.ended;
    expect(run.events().at(-1)).toMatchObject({ type: "ended", exitCode: 0, outcome: "answered" });
    expect(code).toBe(0);
    const reports = stage
      .requests("native")
      .at(-1)
      ?.messages.map((message) => JSON.stringify(message))
      .join("\n");
    for (const said of ["red result", "green result", "blue result"]) expect(reports).toContain(said);
  });

  test("waits for launched tasks, and for the answer to the message about them", async () => {
    const gate = createGate();
    const prompt = stage.script("launched", {
      root: [{ toolCalls: [launch("left"), launch("right")] }, "I wait.", "I have read both."],
      children: {
        left: { text: "left result", until: gate.opened },
        right: { text: "right result", until: gate.opened },
      },
    });
    const run = attached(["--format", "json", prompt]);
    const tasks = () =>
      run
        .events()
        .flatMap((event) =>
          event.type === "session" && event.parentID !== undefined ? [`${event.title} ${event.status}`] : [],
        )
        .sort();
    const waits = () =>
      run.events().flatMap((event) => (event.type === "waiting" ? event.for.map(({ why }) => why) : []));
    await run.until("both work, and the agent does not", () => tasks().length === 2 && waits().includes("task-live"));
    gate.open();
    expect((await run.ended).code).toBe(0);
    const texts = run.events().flatMap((event) => (event.type === "text" ? [event.text] : []));
    expect(texts).toEqual(["I wait.", "I have read both."]);
    expect(tasks()).toEqual([
      "left (@general) busy",
      "left (@general) idle",
      "right (@general) busy",
      "right (@general) idle",
    ]);
  });

  test("says once of each task that it works, and how it has ended", async () => {
    const prompt = stage.script("told", {
      root: [{ toolCalls: [task("spoilt"), task("sound")] }, "I wait.", "One.", "Two."],
      children: {
        spoilt: { error: { status: 401, message: "bad key" }, delayMs: 1_500 },
        sound: { text: "ok", delayMs: 2_500 },
      },
    });
    const { code, stderr } = await attachedBare([prompt]).ended;
    expect(code).toBe(0);
    const lines = stderr.split("\n").filter((line) => line.startsWith("goalkeeper: task "));
    expect(lines.sort()).toEqual([
      'goalkeeper: task "sound" completed',
      'goalkeeper: task "sound" works',
      'goalkeeper: task "spoilt" failed: bad key',
      'goalkeeper: task "spoilt" works',
    ]);
  });

  test("ends quietly, and interrupts the agent, when nobody reads any more", async () => {
    const prompt = stage.script("unread", ["Nobody reads this."]);
    const run = attached(["--format", "json", prompt]);
    run.process.stdout?.destroy();
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([141, ""]);
  });

  test("pursues a goal of three turns to its end", async () => {
    const prompt = stage.script("goal", ["One.", { toolCalls: [BASH("echo two")] }, "Two.", COMPLETE, "Three."]);
    const run = attached(["--goal", "--format", "json", prompt]);
    expect((await run.ended).code).toBe(0);
    const goals = run.events().flatMap((event) => (event.type === "goal" ? [`${event.status} ${event.turns}`] : []));
    // On a busy machine the first turn may be over before the run has joined.
    expect(goals.slice(-3)).toEqual(["active 1", "active 2", "complete 2"]);
    expect(run.events().at(-1)).toMatchObject({
      type: "ended",
      outcome: "complete",
      exitCode: 0,
      sessionID: expect.stringMatching(/^ses_/),
    });
    for (const { at } of run.events()) expect(at).toBeNumber();
  });

  test("exits 3 when the agent is blocked, and says by what", async () => {
    const prompt = stage.script("blocked", [BLOCKED, "I cannot."]);
    const { code, stderr } = await attached(["--goal", prompt]).ended;
    expect(code).toBe(3);
    expect(stderr).toContain("the goal is blocked: there is no key");
  });

  test("exits 4 when the goal has used up its turns", async () => {
    const turn = (said: string) => [{ toolCalls: [BASH(`echo ${said}`)] }, said];
    const prompt = stage.script("limited", ["One.", ...turn("two"), ...turn("three"), "That is where I am."]);
    const { code, stdout } = await attached(["--goal", prompt]).ended;
    expect([code, stdout]).toEqual([4, "One.\ntwo\nthree\nThat is where I am.\n"]);
  });

  test("goes on with a goal by the command that it has printed, and exits 2 when there is nothing to go on with", async () => {
    const prompt = stage.script("resumed", [BLOCKED, "I cannot.", COMPLETE, "Now I could."]);
    const { code, stderr } = await attached(["--goal", prompt]).ended;
    expect(code).toBe(3);
    const [, toGoOn = ""] = /to go on: goalkeeper (run .+)\n/.exec(stderr) ?? [];
    const resumed = await stage.start(toGoOn.split(" ")).ended;
    expect([resumed.code, resumed.stdout]).toEqual([0, "Now I could.\n"]);
    const again = await stage.start(toGoOn.split(" ")).ended;
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("it is complete. No prompt was sent.")]);
  });

  test.each([
    ["prompt", [], "the key is wrong"],
    ["goal", ["--goal"], "the key is wrong"],
  ])("exits 1 when the model refuses the key, for a %s", async (name, args, said) => {
    const prompt = stage.script(`refused-${name}`, [{ error: { status: 401, message: "the key is wrong" } }]);
    const { code, stdout, stderr } = await attached([...args, prompt]).ended;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(said);
  });

  test("exits 124 when the time is over, and has interrupted the session", async () => {
    const prompt = stage.script("slow", [{ hang: true }]);
    const run = attached(["--timeout", "2.5", "--format", "json", prompt]);
    const { code } = await run.ended;
    expect(code).toBe(124);
    const started = run.events().find((event) => event.type === "started");
    const id = started?.type === "started" ? started.sessionID : "";
    const { data } = await server.client.session.status();
    expect(data?.[id]).toBeUndefined();
    expect(JSON.stringify((await server.messages(id)).at(-1)?.info)).toContain("MessageAbortedError");
  });

  test("one Ctrl-C while it waits for tasks ends them too, on a server that goes on", async () => {
    const prompt = stage.script("waiting", {
      root: [{ toolCalls: [launch("forever")] }, "I wait.", "It was cancelled."],
      children: { forever: { hang: true } },
    });
    const run = attached(["--format", "json", prompt]);
    await run.until("it waits", () => run.events().some((event) => event.type === "waiting" && event.for.length > 0));
    run.process.kill("SIGINT");
    expect((await run.ended).code).toBe(130);
    const ids = run.events().flatMap((event) => (event.type === "session" ? [event.sessionID] : []));
    const { data } = await server.client.session.status();
    expect(ids.filter((id) => data?.[id] !== undefined)).toEqual([]);
  });

  test("rejects a permission request, with a line, and exits 1 because the turn ended in the middle", async () => {
    const prompt = stage.script("asks", [{ toolCalls: [BASH("echo asked")] }, "Not reached."]);
    const { code, stderr } = await attached([prompt]).ended;
    expect(code).toBe(1);
    expect(stderr).toContain("permission rejected: bash: echo asked (--auto approves)");
  });

  test("approves a permission request with --auto", async () => {
    const prompt = stage.script("asks-auto", [{ toolCalls: [BASH("echo asked")] }, "Done."]);
    const { code, stdout, stderr } = await attached(["--auto", prompt]).ended;
    expect([code, stdout]).toEqual([0, "Done.\n"]);
    expect(stderr).toContain("permission approved: bash: echo asked");
  });

  test("goes on in a session, and prints what is new only", async () => {
    const prompt = stage.script("again", ["First.", "Second."]);
    const first = attached(["--format", "json", "--title", "kept", prompt]);
    await first.ended;
    const started = first.events().find((event) => event.type === "started");
    const id = started?.type === "started" ? started.sessionID : "";
    expect((await server.client.session.get({ path: { id } })).data?.title).toBe("kept");
    const { code, stdout } = await attached(["--session", id, "and again"]).ended;
    expect([code, stdout]).toEqual([0, "Second.\n"]);
  });

  test.each([
    ["no plugin for --goal", ["--goal", "x"], "This OpenCode has no command /goal"],
    [
      "no such session",
      ["--session", "ses_000000000000aaaaaaaaaaaaaa", "x"],
      "has no session ses_000000000000aaaaaaaaaaaaaa",
    ],
    ["no such agent", ["--agent", "nobody", "x"], 'no agent "nobody"; there are: build, plan'],
    ["no such model", ["--model", "scripted/nobody", "x"], 'no model "scripted/nobody"; there are: scripted/model.'],
  ])("exits 2 with %s", async (_what, args, said) => {
    const { code, stdout, stderr } = await attachedBare(args).ended;
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(said);
    expect(stderr).toContain("No prompt was sent.");
  });

  test.each([
    ["nobody listens at --attach", ["--attach", "http://127.0.0.1:9", "x"], "does not answer"],
    ["an unknown option", ["--gaol", "x"], "Unknown option '--gaol'"],
    ["a model without a provider", ["--model", "gpt", "x"], "provider/model was expected"],
    ["a time-out that is none", ["--timeout", "soon", "x"], "seconds were expected"],
    ["a word of the command for a goal", ["--goal", "stop"], 'The objective is "stop"'],
    ["an unknown format", ["--format", "xml", "x"], "text or json was expected"],
    ["a directory that does not exist", ["--dir", "/nowhere/at/all", "x"], "which does not exist"],
  ])("exits 2 with %s, and says what was expected", async (_what, args, said) => {
    const { code, stdout, stderr } = await stage.start(["run", ...args]).ended;
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(said);
  });

  test("the packed program runs on plain Node, with nothing beside it", () => {
    const place = mkdtempSync(join(tmpdir(), "goalkeeper-packed-"));
    try {
      const run = (file: string, args: readonly string[], cwd: string) =>
        spawnSync(file, args, { cwd, encoding: "utf8" });
      const packed = run("npm", ["pack", "--ignore-scripts", "--pack-destination", place], fileURLToPath(PLUGIN));
      expect(run("tar", ["-xzf", packed.stdout.trim().split("\n").at(-1) ?? ""], place).status).toBe(0);
      const { bin } = JSON.parse(readFileSync(join(place, "package/package.json"), "utf8"));
      const program = join(place, "package", bin.goalkeeper);
      expect(readFileSync(program, "utf8")).toStartWith("#!/usr/bin/env node\n");
      const refused = run("node", [program, "run", "--attach", "http://127.0.0.1:9", "hello"], place);
      expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining("does not answer")]);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });

  test("help, version and a missing prompt", async () => {
    const [help, version, empty] = await Promise.all([
      stage.start(["--help"]).ended,
      stage.start(["--version"]).ended,
      stage.start(["run"], { stdin: "" }).ended,
    ]);
    expect([help.code, help.stderr]).toEqual([0, ""]);
    for (const said of ["--goal", "--attach", "Exit codes", "124"]) expect(help.stdout).toContain(said);
    expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
    expect([empty.code, empty.stderr]).toEqual([2, expect.stringContaining("The prompt is missing")]);
  });
});

// The last one: it ends a server that all others share.
test("exits 1 at once when the server is killed while it waits, and says so", async () => {
  const prompt = stage.script("orphaned", [{ hang: true }]);
  const run = attached(["--format", "json", prompt]);
  await run.until("the agent works", () => stage.requests("orphaned").length === 1);
  await server.kill();
  const { code } = await run.ended;
  expect(code).toBe(1);
  expect(run.events().at(-1)).toMatchObject({ type: "ended", outcome: "opencode-gone", exitCode: 1 });
});
