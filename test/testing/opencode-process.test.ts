import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  OpencodeNotFoundError,
  type OpencodeServer,
  OpencodeStartError,
  PluginNotFoundError,
  type Reply,
  type ReplyFunction,
  RunTimeoutError,
  resolveOpencodeBinary,
  type ScriptedModel,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { patientModel, patientServer, SERVE, until } from "../e2e/limits.ts";

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // An ended orphan keeps its pid, without a command line, until init clears it away.
    return process.platform !== "linux" || readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

/** What the model answers in each root session, by its first prompt. */
const REPLIES: Readonly<Record<string, readonly (Reply | ReplyFunction)[]>> = {
  go: [
    { toolCalls: [{ name: "task", args: { description: "alpha", prompt: "do alpha", subagent_type: "general" } }] },
    ({ toolResults }) => `Result: ${toolResults[0]?.output}`,
  ],
  fail: [{ error: { status: 400, message: "no such luck" } }, { hang: true }],
  one: ["before", { hang: true }, "after"],
  wait: [{ toolCalls: [{ name: "bash", args: { command: "echo $$ > pid; exec sleep 300", description: "waits" } }] }],
};

// One after the other on one OpenCode: each start of it costs seconds.
describe("with the real OpenCode", () => {
  let model: ScriptedModel;
  let opencode: IsolatedOpencode;
  let server: OpencodeServer;

  beforeAll(async () => {
    const root: ReplyFunction = (request) => {
      const reply = REPLIES[request.firstUserText]?.[request.step];
      if (reply === undefined) throw new Error(`nothing to answer to ${request.firstUserText}, ${request.step}`);
      return typeof reply === "function" ? reply(request) : reply;
    };
    model = patientModel(await startScriptedModel({ root, children: { alpha: ["alpha is done"] } }));
    opencode = createIsolatedOpencode({ model });
    server = patientServer(await opencode.serve(SERVE));
  });

  afterEach(() => expect(model.failures).toEqual([]));

  afterAll(async () => {
    await opencode.dispose();
    await model.close();
  });

  test("a root calls a tool, its child answers by its own part of the script, and the root sees the result", async () => {
    const root = await server.createSession();
    await server.prompt(root.id, "go");
    await server.waitForIdle(root.id);

    const [child] = await server.children(root.id);
    const ofChild = model.requests.filter(({ sessionID }) => sessionID === child?.id);
    expect(ofChild.map(({ parentSessionID, step }) => [parentSessionID, step])).toEqual([[root.id, 0]]);
    const messages = await server.messages(root.id);
    expect(messages.map(({ info }) => info.role)).toEqual(["user", "assistant", "assistant"]);
    const texts = messages.at(-1)?.parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
    expect(texts?.join("")).toContain("alpha is done");
    expect(await server.metadata(root.id)).toEqual({});
    const { data } = await server.client.config.providers();
    expect(data?.providers.map(({ id }) => id)).toEqual(["scripted"]);
  });

  test("the host sees a scripted error, and an abort ends a request that hangs", async () => {
    const { id } = await server.createSession();
    await server.prompt(id, "fail");
    const failed = await server.events.waitFor(
      ({ type, properties }) => type === "session.error" && properties.sessionID === id,
    );
    expect(failed.properties.error?.name).toBe("APIError");
    expect(failed.properties.error?.data?.message).toContain("no such luck");
    await server.waitForIdle(id);

    await server.prompt(id, "hang");
    await model.waitForRequest(({ kind, sessionID, step }) => kind === "turn" && sessionID === id && step === 1);
    await server.abort(id);
    await model.waitForRequest(
      ({ sessionID, step, state }) => sessionID === id && step === 1 && state === "disconnected",
    );
    await server.waitForIdle(id);
    expect((await server.messages(id)).at(-1)?.info).toMatchObject({ error: { name: "MessageAbortedError" } });
  });

  test("after a kill and a restart the same session is there, idle, and goes on", async () => {
    const first = server;
    const { id } = await first.createSession({ title: "kept" });
    await first.prompt(id, "one");
    await first.waitForIdle(id);
    await first.prompt(id, "two");
    await model.waitForRequest(({ sessionID, step }) => sessionID === id && step === 1);
    server = await first.restart({ kill: true });
    expect(await first.exited).toEqual({ exitCode: null, signal: "SIGKILL" });
    expect(alive(first.pid)).toBe(false);

    await server.waitForIdle(id);
    await server.prompt(id, "three");
    await server.waitForIdle(id);
    expect((await server.messages(id)).map(({ info }) => info.role)).toEqual([
      "user",
      "assistant",
      "user",
      "assistant",
      "user",
      "assistant",
    ]);
  });

  test("it has installed nothing by then, and therefore ends by SIGTERM", async () => {
    expect(opencode.readLog()).not.toBe("");
    expect(opencode.readLog()).not.toContain("dependency install failed");
    expect(readdirSync(join(opencode.env.XDG_CONFIG_HOME ?? "", "opencode", "node_modules"))).toEqual([]);
    expect((await server.stop()).signal).toBe("SIGTERM");
  });

  test("dispose leaves no process behind, not even a shell that the model started, and no directory", async () => {
    server = patientServer(await opencode.serve(SERVE));
    const { id } = await server.createSession();
    await server.prompt(id, "wait");
    const pidFile = join(opencode.directory, "pid");
    await until("the shell works", async () => existsSync(pidFile) && (await Bun.file(pidFile).text()) !== "");
    const shell = Number(await Bun.file(pidFile).text());
    expect([alive(server.pid), alive(shell)]).toEqual([true, true]);

    await opencode.dispose();
    expect(alive(server.pid)).toBe(false);
    // Only Linux tells which processes those are.
    expect(alive(shell)).toBe(process.platform !== "linux");
    expect(existsSync(opencode.root)).toBe(false);
    await expect(opencode.serve()).rejects.toThrow("has been disposed");
  });
});

// What does not depend on OpenCode is tested with a shell script in its place, which starts at once.
describe("with a program in the place of OpenCode", () => {
  let place: string;

  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), "goalkeeper-stand-in-"));
  });

  afterAll(() => rmSync(place, { recursive: true }));

  function standIn(...lines: readonly string[]): IsolatedOpencode {
    const binary = join(place, "opencode");
    writeFileSync(binary, ["#!/bin/sh", ...lines, ""].join("\n"));
    chmodSync(binary, 0o755);
    return createIsolatedOpencode({ binary });
  }

  test("a command's result is what it has said, and how it has ended", async () => {
    await using opencode = standIn('echo "said $1"', "echo warned >&2", "exit 3");
    const result = await opencode.run(["hello"]);
    expect(result).toMatchObject({ exitCode: 3, signal: null, stdout: "said hello\n", stderr: "warned\n" });
  });

  test("a command that does not end in time is killed, and the error carries its output", async () => {
    await using opencode = standIn("echo said; echo warned >&2", "exec sleep 300");
    const late = await opencode.run(["run", "wait"], { timeoutMs: 1_000 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(RunTimeoutError);
    expect(late).toMatchObject({ stdout: "said\n", stderr: "warned\n" });
  });

  test("a server that does not start says what it wrote", async () => {
    await using opencode = standIn("echo broken >&2", "exit 1");
    const failed = await opencode.serve().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OpencodeStartError);
    expect((failed as OpencodeStartError).exit?.exitCode).toBe(1);
    expect((failed as OpencodeStartError).stderr).toBe("broken\n");
  });
});

test.each(["throw", "SIGTERM", "SIGINT"] as const)(
  "a test process that ends by %s takes along what it has started",
  async (how) => {
    const fixture = join(import.meta.dir, "leaky-process.ts");
    const leaky = Bun.spawn([process.execPath, fixture, how], { stdout: "pipe", stderr: "ignore" });
    const output = await new Response(leaky.stdout).text();
    await leaky.exited;
    const { pid, root } = JSON.parse(output) as { pid: number; root: string };
    expect(leaky.exitCode === 0).toBe(false);
    expect(leaky.signalCode ?? "throw").toBe(how);
    // It is killed by then; whoever inherits it may take a moment to bury it.
    await until("it is gone", () => !alive(pid));
    expect(existsSync(root)).toBe(false);
  },
);

test("an OPENCODE_BIN that is no executable is refused by name", () => {
  expect(() => resolveOpencodeBinary({ OPENCODE_BIN: "/no/such/opencode" })).toThrow(OpencodeNotFoundError);
});

test("a plugin that is not there is an error, and not a green test without it", () => {
  expect(() => createIsolatedOpencode({ plugins: [["./no-such-plugin.js", {}]] })).toThrow(PluginNotFoundError);
});
