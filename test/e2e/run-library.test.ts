import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openRun, said, storedRoot } from "./run-stage.ts";
import { COMPLETE, PLUGIN } from "./stage.ts";

/** A project of another author, with the built package among its dependencies, as npm would put it there. */
let place: string;
let author: string;

beforeAll(() => {
  const root = fileURLToPath(PLUGIN);
  place = mkdtempSync(join(tmpdir(), "goalkeeper-run-library-"));
  const modules = join(place, "node_modules");
  mkdirSync(join(modules, "opencode-goalkeeper"), { recursive: true });
  for (const part of ["dist", "package.json"])
    cpSync(join(root, part), join(modules, "opencode-goalkeeper", part), { recursive: true });
  symlinkSync(join(root, "node_modules/@opencode-ai"), join(modules, "@opencode-ai"));
  author = join(place, "run-author.ts");
  cpSync(join(root, "test/e2e/run-author.ts"), author);
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

const LATER = { name: "review_later", args: { subject: "alpha" } };

describe.concurrent("opencode run beside a plugin that launches with the library", () => {
  test("listed after ours: its task finishes, it tells the end once, and the agent answers", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [LATER] }, "I wait.", "It found nothing."],
        children: { alpha: { text: "nothing found", delayMs: 1_500 } },
      },
      { after: [author] },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nIt found nothing.\n" });
    expect(stage.lastRead()).toContain("1 completed");
    expect(JSON.stringify(stage.requests().at(-1)?.messages).split("nothing found")).toHaveLength(2);
    expect(stage.requests()).toHaveLength(3);
    expect(stage.model.failures).toEqual([]);
    expect(said(result)).toEqual([
      expect.stringContaining('waiting for 1 background task: "alpha'),
      expect.stringMatching(/^goalkeeper: alpha.*: completed after/),
    ]);
  });

  test("listed before ours: its failure is read at once, told once, and a goal goes on after it", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [LATER] }, "I wait.", "I do it myself.", COMPLETE, "Done."],
        children: { alpha: { error: { status: 401, message: "no such key" }, delayMs: 500 } },
      },
      { before: [author] },
    );
    const result = await stage.run("--command", "goal", "fix it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nI do it myself.\nDone.\n" });
    expect(JSON.stringify(stage.requests()[2]?.messages.at(-1))).toContain("no such key");
    expect(JSON.stringify(stage.requests().at(-1)?.messages).split("no such key")).toHaveLength(2);
    expect(stage.requests()).toHaveLength(5);
    expect(stage.model.failures).toEqual([]);
    expect(said(result).slice(0, 2)).toEqual([
      expect.stringContaining('waiting for 1 background task: "alpha'),
      expect.stringMatching(/^goalkeeper: alpha.*: failed/),
    ]);
    expect(storedRoot(stage)?.goal?.status).toBe("complete");
  });
});
