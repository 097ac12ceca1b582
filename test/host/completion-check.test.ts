import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCompletionCheck } from "../../src/host/completion-check.ts";
import { until } from "../e2e/limits.ts";

function inShell(script: string): { command: string[] } {
  return { command: ["sh", "-c", script] };
}

/** A process that is dead and not yet collected has no command line. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

async function pidIn(file: string): Promise<number> {
  const pid = () => (existsSync(file) ? Number(readFileSync(file, "utf8")) : 0);
  await until(`there is a pid in ${file}`, () => pid() > 0);
  return pid();
}

function expectDead(pid: number): Promise<void> {
  return until(`the process ${pid} is dead`, () => !isAlive(pid));
}

async function inPlace<T>(work: (place: string) => Promise<T>): Promise<T> {
  const place = mkdtempSync(join(tmpdir(), "goalkeeper-check-"));
  try {
    return await work(place);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

describe.concurrent("the completion check", () => {
  test("accepts with exit code 0, in the project's directory", () =>
    inPlace(async (place) => {
      expect(await runCompletionCheck(inShell("touch here"), place)).toEqual({ kind: "passed" });
      expect(existsSync(join(place, "here"))).toBe(true);
    }));

  test("with another exit code gives the end of its output, both streams in one", () =>
    inPlace(async (place) => {
      const result = await runCompletionCheck(inShell("seq 1 5000; echo broken >&2; exit 3"), place);
      expect(result).toMatchObject({ kind: "failed", how: "ended with exit code 3" });
      const { output } = result as { output: string };
      expect(output.length).toBeLessThanOrEqual(4_000);
      expect(output).toContain("5000");
      expect(output).toContain("broken");
      expect(output).not.toContain("\n1\n");
    }));

  test("goes through no shell: its arguments are taken as they are", () =>
    inPlace(async (place) => {
      const result = await runCompletionCheck({ command: ["test", "$(touch here)", "=", "`touch here`"] }, place);
      expect(result).toMatchObject({ kind: "failed" });
      expect(existsSync(join(place, "here"))).toBe(false);
    }));

  test("that cannot be started says so", () =>
    inPlace(async (place) => {
      const result = await runCompletionCheck({ command: ["no-such-program-anywhere"] }, place);
      expect(result).toMatchObject({ kind: "failed", how: expect.stringContaining("could not be started") });
    }));

  test("that does not end in time is ended, with all that it has started", () =>
    inPlace(async (place) => {
      const script = "sh -c 'echo $$ > pid; sleep 30' & sleep 30";
      const result = await runCompletionCheck({ ...inShell(script), timeout_seconds: 1.5 }, place);
      expect(result).toMatchObject({ kind: "failed", how: "did not end within 1.5 s" });
      const pid = Number(readFileSync(join(place, "pid"), "utf8"));
      await expectDead(pid);
    }));

  test("does not wait for something that has left its group, and holds its output open", () =>
    inPlace(async (place) => {
      const script = "setsid sh -c 'echo $$ > pid; exec sleep 30' & sleep 30";
      const result = await runCompletionCheck({ ...inShell(script), timeout_seconds: 1.5 }, place);
      expect(result).toMatchObject({ how: "did not end within 1.5 s" });
      const pid = Number(readFileSync(join(place, "pid"), "utf8"));
      expect(isAlive(pid)).toBe(true);
      process.kill(pid, "SIGKILL");
    }));

  test("ends when the user aborts the turn, also when that was before it began", () =>
    inPlace(async (place) => {
      const abort = new AbortController();
      const running = runCompletionCheck(inShell("sleep 30"), place, abort.signal);
      await Bun.sleep(100);
      abort.abort();
      expect(await running).toMatchObject({ kind: "failed", how: "was aborted" });
      expect(await runCompletionCheck(inShell("sleep 30"), place, abort.signal)).toMatchObject({ how: "was aborted" });
    }));

  test("is decided by its exit, also when a daemon holds its output open", () =>
    inPlace(async (place) => {
      const script = (code: number) => `setsid sh -c 'echo $$ > pid${code}; exec sleep 30' & exit ${code}`;
      const [passed, broken] = await Promise.all(
        [0, 4].map((code) => runCompletionCheck({ ...inShell(script(code)), timeout_seconds: 20 }, place)),
      );
      for (const code of [0, 4]) process.kill(await pidIn(join(place, `pid${code}`)), "SIGKILL");
      expect(passed).toEqual({ kind: "passed" });
      expect(broken).toMatchObject({ how: "ended with exit code 4" });
    }));

  test("that passes and leaves a server running in its group has passed, and the server is ended", () =>
    inPlace(async (place) => {
      const script = "sh -c 'echo $$ > pid; exec sleep 30' & until test -s pid; do sleep 0.02; done; echo ok";
      const result = await runCompletionCheck({ ...inShell(script), timeout_seconds: 20 }, place);
      expect(result).toEqual({ kind: "passed" });
      await expectDead(await pidIn(join(place, "pid")));
    }));

  test("gives all that was printed before the end, also by what outlives it for a moment", () =>
    inPlace(async (place) => {
      const result = await runCompletionCheck(inShell("(sleep 0.1; echo late) & echo early; exit 1"), place);
      expect(result).toMatchObject({ output: "early\nlate" });
    }));

  test.each([["SIGKILL"], ["SIGTERM"], ["SIGINT"]] as const)(
    "does not outlive OpenCode that is ended by %s",
    (signal) =>
      inPlace(async (place) => {
        const source = JSON.stringify(join(import.meta.dir, "../../src/host/completion-check.ts"));
        const script = "sh -c 'echo $$ > inner; exec sleep 30' & echo $$ > outer; wait";
        const author = `import { runCompletionCheck } from ${source};
        await runCompletionCheck(${JSON.stringify(inShell(script))}, ${JSON.stringify(place)});`;
        const parent = spawn(process.execPath, ["-e", author], { stdio: "ignore" });
        const pids = [await pidIn(join(place, "outer")), await pidIn(join(place, "inner"))];
        await Bun.sleep(200); // It may not have come to the guard yet.
        parent.kill(signal);
        for (const pid of pids) await expectDead(pid);
      }),
  );

  test("does not outlive OpenCode that exits", () =>
    inPlace(async (place) => {
      const source = JSON.stringify(join(import.meta.dir, "../../src/host/completion-check.ts"));
      const author = `import { runCompletionCheck } from ${source};
        runCompletionCheck(${JSON.stringify(inShell("echo $$ > pid; exec sleep 30"))}, ${JSON.stringify(place)});
        await Bun.sleep(300); process.exit(0);`;
      spawn(process.execPath, ["-e", author], { stdio: "ignore" });
      await expectDead(await pidIn(join(place, "pid")));
    }));

  test.each([
    ["a NUL byte", ["echo", "a\0b"]],
    ["an argument that is too long", ["echo", "x".repeat(3_000_000)]],
    ["no program", [""]],
  ])("with %s in its command cannot be started, and says so", (_, command) =>
    inPlace(async (place) => {
      const result = await runCompletionCheck({ command }, place);
      expect(result).toMatchObject({ kind: "failed", how: expect.stringMatching(/^could not be started: .{3,200}$/) });
    }),
  );

  test("whose output is cut, or comes in pieces, gives whole characters", () =>
    inPlace(async (place) => {
      const long = `yes 😀 | head -n 3000 | tr -d '\\n'; printf x; exit 1`;
      const cut = await runCompletionCheck(inShell(long), place);
      expect(cut).toMatchObject({ output: `${"😀".repeat(1_999)}x` });
      const pieces = await runCompletionCheck(inShell("printf '\\303'; sleep 0.2; printf '\\251'; exit 1"), place);
      expect(pieces).toMatchObject({ output: "é" });
    }));
});
