import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCompletionCheck } from "../../src/host/completion-check.ts";

function inShell(script: string): { command: string[] } {
  return { command: ["sh", "-c", script] };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
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
      const result = await runCompletionCheck({ ...inShell(script), timeout_seconds: 0.5 }, place);
      expect(result).toMatchObject({ kind: "failed", how: "did not end within 0.5 s" });
      const pid = Number(readFileSync(join(place, "pid"), "utf8"));
      for (let look = 0; look < 100 && isAlive(pid); look++) await Bun.sleep(20);
      expect(isAlive(pid)).toBe(false);
    }));

  test("does not wait for something that has left its group, and holds its output open", () =>
    inPlace(async (place) => {
      const script = "setsid sh -c 'echo $$ > pid; exec sleep 30' & sleep 30";
      const result = await runCompletionCheck({ ...inShell(script), timeout_seconds: 0.5 }, place);
      expect(result).toMatchObject({ how: "did not end within 0.5 s" });
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
});
