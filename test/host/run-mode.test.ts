import { describe, expect, test } from "bun:test";
import { isEditorMode, runMode } from "../../src/host/run-mode.ts";

function mode(line: string, inMainThread = true) {
  const args = line.split(" ").filter((arg) => arg !== "");
  return runMode(["bun", "/$bunfs/root/src/index.js", ...args], inMainThread);
}

describe("opencode run is told", () => {
  test.each([
    "run",
    "run hello",
    "run --command goal fix it",
    "--print-logs run hello",
    "--log-level DEBUG run hello",
    "--print-logs --log-level=DEBUG run hello",
    "--agent build run hello",
    "run serve the page and debug it",
    "run --agent plan web",
  ])("by its command, wherever its options stand: %s", (line) => {
    expect(mode(line)).toEqual({ format: "text" });
  });

  test.each([
    "",
    "serve",
    "serve --port 4096",
    "web",
    "acp",
    "attach http://127.0.0.1:4096",
    "debug run",
    "session list",
    "--log-level DEBUG serve run",
    "github run",
    "/home/me/project",
  ])("and nothing else is taken for it: %s", (line) => {
    expect(mode(line)).toBeUndefined();
  });

  test("a worker is that of the TUI, whatever its arguments are: a prompt may be called run", () => {
    expect(mode("--prompt run", false)).toBeUndefined();
    expect(mode("run hello", false)).toBeUndefined();
  });

  test("arguments that are no command of OpenCode's are none of ours: this very test", () => {
    expect(runMode(["bun", "test"], true)).toBeUndefined();
    expect(runMode([], true)).toBeUndefined();
  });
});

describe("its format", () => {
  test.each(["run --format json hello", "run hello --format json", "run --format=json hello"])(
    "is JSON: %s",
    (line) => {
      expect(mode(line)).toEqual({ format: "json" });
    },
  );

  test.each(["run --format default hello", "run --format=default", "run hello json", "run hello --format"])(
    "is text: %s",
    (line) => {
      expect(mode(line)).toEqual({ format: "text" });
    },
  );
});

test("opencode acp is told by its command: an editor is at the other end", () => {
  const isEditor = (line: string, inMainThread = true) =>
    isEditorMode(["bun", "/$bunfs/root/src/index.js", ...line.split(" ")], inMainThread);
  expect(["acp", "acp --cwd /x", "--print-logs acp"].map((line) => isEditor(line))).toEqual([true, true, true]);
  expect(["run acp", "serve", ""].map((line) => isEditor(line))).toEqual([false, false, false]);
  expect(isEditor("acp", false)).toBe(false);
});
