import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RUN_MS } from "./limits.ts";

/** What the repository offers to run beside `npm test`, once and short: it must work, whatever it measures here (U20). */
const ROOT = join(import.meta.dir, "../..");
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};
/** Their temporary files. */
let place: string;

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "goalkeeper-scripts-"));
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

/** What `npm run <name>` runs, on the build that is there. */
function programOf(name: string): string {
  const program = /^node scripts\/run\.mjs (?:--build )?(\S+)$/.exec(scripts[name] ?? "")?.[1];
  if (program === undefined) throw new Error(`npm run ${name} runs something else: ${scripts[name]}`);
  return program;
}

interface Result {
  readonly code: number;
  readonly said: string;
}

async function npmRun(name: string, ...args: readonly string[]): Promise<Result> {
  const env = { ...process.env, TMPDIR: place, NO_COLOR: "1", FORCE_COLOR: "0" };
  const command = [process.execPath, programOf(name), ...args];
  const child = Bun.spawn(command, { cwd: ROOT, env, stdout: "pipe", stderr: "pipe", timeout: RUN_MS });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, said: `${out}${err}` };
}

describe("npm run", () => {
  test("bench: each benchmark runs, and measures something of ours", async () => {
    const { code, said } = await npmRun("bench", "--try");
    expect({ code, said }).toMatchObject({ code: 0 });
    const rows = said.split("\n").filter((line) => line.startsWith("| ") && !/^\| (what|-)/.test(line));
    expect(rows.filter((row) => !/^\| .*? \| +[\d.,]+( \S+)? +\|/.test(row))).toEqual([]);
    const begins = ["`event`", "import", "idle to", "1,000 tasks", "heap", "launch to", "a goal of", "`opencode run`"];
    expect(begins.filter((what) => !rows.some((row) => row.startsWith(`| ${what}`)))).toEqual([]);
  });

  test("demo, and trace of what it leaves: the books balance, and today's code decides the same again", async () => {
    const { code, said } = await npmRun("demo");
    expect({ code, said }).toMatchObject({ code: 0 });
    const file = /\S+\.jsonl/.exec(said)?.[0] ?? "";
    const told = await npmRun("trace", file);
    expect(told.code).toBe(0);
    expect(told.said).toContain("LOST: OpenCode stopped while it was working");
    expect(await npmRun("trace", "--replay", file)).toMatchObject({ code: 0 });
  });

  test("soak: a scenario is repeated and counted", async () => {
    const { code, said } = await npmRun("soak", "1", "no opencode on the PATH");
    expect({ code, said }).toMatchObject({ code: 0, said: expect.stringMatching(/quiet 1\/1: \d+ passed/) });
  });

  test("capture: OpenCode's screen, where there is a tmux; else it says what is missing", async () => {
    const { code, said } = await npmRun("capture");
    if (Bun.which("tmux") === null) {
      expect(code).not.toBe(0);
      expect(said).toContain("tmux could not be run (is it installed?)");
    } else {
      expect({ code, said }).toMatchObject({ code: 0, said: expect.stringContaining("--- all have ended") });
    }
  });

  test("nothing else that would have to be run here", () => {
    const others = ["setup", "build", "test", "types", "lint", "format", "prepack"];
    const apart = ["hosts", "storm"];
    const here = ["bench", "demo", "trace", "soak", "capture"];
    expect(Object.keys(scripts).filter((name) => ![...others, ...apart, ...here].includes(name))).toEqual([]);
  });
});
