import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  OpencodeNotFoundError,
  OpencodeStartError,
  PluginNotFoundError,
  RunTimeoutError,
  resolveOpencodeBinary,
  type Script,
  type ScriptedModel,
  startScriptedModel,
} from "../../src/testing/index.ts";

const SECONDS = 1_000;
let model: ScriptedModel;
let opencode: IsolatedOpencode;

async function prepare(script: Script): Promise<void> {
  model = await startScriptedModel(script);
  opencode = createIsolatedOpencode({ model });
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // An ended orphan keeps its pid, without a command line, until init clears it away.
    return process.platform !== "linux" || readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

describe("with the real OpenCode", () => {
  afterEach(async () => {
    await opencode.dispose();
    await model.close();
    expect(model.failures).toEqual([]);
  });

  test(
    "opencode run prints the scripted reply and installs nothing",
    async () => {
      await prepare(["Hello from the script."]);
      const result = await opencode.run(["run", "say hello"]);
      expect({ code: result.exitCode, signal: result.signal }).toEqual({ code: 0, signal: null });
      expect(result.stdout).toContain("Hello from the script.");
      expect(opencode.readLog()).not.toContain("dependency install failed");
      expect(readdirSync(join(opencode.env.XDG_CONFIG_HOME ?? "", "opencode", "node_modules"))).toEqual([]);
    },
    20 * SECONDS,
  );

  test(
    "a root calls a tool, its child answers by its own part of the script, and the root sees the result",
    async () => {
      const args = { description: "alpha", prompt: "do alpha", subagent_type: "general" };
      await prepare({
        root: [{ toolCalls: [{ name: "task", args }] }, ({ toolResults }) => `Result: ${toolResults[0]?.output}`],
        children: { alpha: ["alpha is done"] },
      });
      const server = await opencode.serve();
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
    },
    20 * SECONDS,
  );

  test(
    "the host sees a scripted error, and an abort ends a request that hangs",
    async () => {
      await prepare([{ error: { status: 400, message: "no such luck" } }, { hang: true }]);
      const server = await opencode.serve();
      const { id } = await server.createSession();
      await server.prompt(id, "fail");
      const failed = await server.events.waitFor(({ type }) => type === "session.error");
      expect(failed.properties.error?.name).toBe("APIError");
      expect(failed.properties.error?.data?.message).toContain("no such luck");
      await server.waitForIdle(id);

      await server.prompt(id, "hang");
      await model.waitForRequest(({ kind, step }) => kind === "turn" && step === 1);
      await server.abort(id);
      await model.waitForRequest(({ step, state }) => step === 1 && state === "disconnected");
      await server.waitForIdle(id);
      expect((await server.messages(id)).at(-1)?.info).toMatchObject({ error: { name: "MessageAbortedError" } });
    },
    20 * SECONDS,
  );

  test(
    "after a kill and a restart the same session is there, idle, and goes on",
    async () => {
      await prepare(["before", { hang: true }, "after"]);
      const first = await opencode.serve();
      const { id } = await first.createSession({ title: "kept" });
      await first.prompt(id, "one");
      await first.waitForIdle(id);
      await first.prompt(id, "two");
      await model.waitForRequest(({ step }) => step === 1);
      const second = await first.restart({ kill: true });
      expect(await first.exited).toEqual({ exitCode: null, signal: "SIGKILL" });
      expect(alive(first.pid)).toBe(false);

      await second.waitForIdle(id);
      await second.prompt(id, "three");
      await second.waitForIdle(id);
      expect((await second.messages(id)).map(({ info }) => info.role)).toEqual([
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
      ]);
      expect((await second.stop()).signal).toBe("SIGTERM");
    },
    30 * SECONDS,
  );

  test(
    "dispose leaves no process behind, not even a shell that the model started, and no directory",
    async () => {
      const command = "echo $$ > pid; exec sleep 300";
      await prepare([{ toolCalls: [{ name: "bash", args: { command, description: "waits" } }] }]);
      const server = await opencode.serve();
      const { id } = await server.createSession();
      await server.prompt(id, "wait");
      const pidFile = join(opencode.directory, "pid");
      while (!existsSync(pidFile) || (await Bun.file(pidFile).text()) === "") await Bun.sleep(20);
      const shell = Number(await Bun.file(pidFile).text());
      expect([alive(server.pid), alive(shell)]).toEqual([true, true]);

      await opencode.dispose();
      expect(alive(server.pid)).toBe(false);
      // Only Linux tells which processes those are.
      expect(alive(shell)).toBe(process.platform !== "linux");
      expect(existsSync(opencode.root)).toBe(false);
      await expect(opencode.serve()).rejects.toThrow("has been disposed");
    },
    20 * SECONDS,
  );

  test("a command that does not end in time is killed, and the error carries its output", async () => {
    await prepare({ hang: true });
    const late = await opencode.run(["run", "wait"], { timeoutMs: 300 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(RunTimeoutError);
  });

  test("a server that does not start says what it wrote", async () => {
    await prepare("unused");
    const failed = await opencode.serve({ args: ["--no-such-option"] }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OpencodeStartError);
    expect((failed as OpencodeStartError).exit?.exitCode).toBe(1);
    expect((failed as OpencodeStartError).stderr).not.toBe("");
  });
});

test.each(["throw", "SIGTERM", "SIGINT"] as const)(
  "a test process that ends by %s takes its OpenCode along",
  async (how) => {
    const fixture = join(import.meta.dir, "leaky-process.ts");
    const leaky = Bun.spawn([process.execPath, fixture, how], { stdout: "pipe", stderr: "ignore" });
    const output = await new Response(leaky.stdout).text();
    await leaky.exited;
    const { pid, root } = JSON.parse(output) as { pid: number; root: string };
    expect(leaky.exitCode === 0).toBe(false);
    expect(leaky.signalCode ?? "throw").toBe(how);
    // It is killed by then; whoever inherits it may take a moment to bury it.
    for (let look = 0; look < 100 && alive(pid); look++) await Bun.sleep(20);
    expect(alive(pid)).toBe(false);
    expect(existsSync(root)).toBe(false);
  },
  20 * SECONDS,
);

test("an OPENCODE_BIN that is no executable is refused by name", () => {
  expect(() => resolveOpencodeBinary({ OPENCODE_BIN: "/no/such/opencode" })).toThrow(OpencodeNotFoundError);
});

test("a plugin that is not there is an error, and not a green test without it", () => {
  expect(() => createIsolatedOpencode({ plugins: [["./no-such-plugin.js", {}]] })).toThrow(PluginNotFoundError);
});
