import { describe, expect, test } from "bun:test";
import { parseCommand } from "../../src/cli/arguments.ts";
import { UsageError } from "../../src/cli/errors.ts";

const DEFAULTS = {
  prompt: undefined,
  mode: "prompt",
  format: "text",
  attach: undefined,
  session: { kind: "new" },
  agent: undefined,
  model: undefined,
  title: undefined,
  directory: undefined,
  timeoutMs: undefined,
  auto: false,
};

function settings(...args: readonly string[]) {
  const command = parseCommand(["run", ...args]);
  return command.kind === "run" ? command.settings : command;
}

describe("the command line", () => {
  test("without options everything has its default, and the prompt comes from elsewhere", () => {
    expect(settings()).toEqual(DEFAULTS as never);
  });

  test("the words of the prompt need no quotes, and options may stand anywhere", () => {
    expect(settings("fix", "--goal", "the", "build")).toEqual({
      ...DEFAULTS,
      prompt: "fix the build",
      mode: "goal",
    } as never);
  });

  test("what comes after -- is the prompt, whatever it looks like", () => {
    expect(settings("--", "--goal", "is a flag")).toMatchObject({ prompt: "--goal is a flag", mode: "prompt" });
  });

  test("a model is a provider and the rest, which may have slashes of its own", () => {
    expect(settings("-m", "openrouter/qwen/qwen3", "x")).toMatchObject({
      model: { providerID: "openrouter", modelID: "qwen/qwen3" },
    });
  });

  test("seconds may be fractions", () => {
    expect(settings("--timeout", "0.5", "x")).toMatchObject({ timeoutMs: 500 });
  });

  test("a session is a new one, one by its id, or the last", () => {
    expect(settings("-s", "ses_1", "x")).toMatchObject({ session: { kind: "id", id: "ses_1" } });
    expect(settings("-c", "x")).toMatchObject({ session: { kind: "last" } });
  });

  test("a goal is resumed in a session, without a prompt", () => {
    expect(settings("-s", "ses_1", "--resume")).toMatchObject({ mode: "resume", prompt: undefined });
    expect(settings("-c", "--resume")).toMatchObject({ mode: "resume", session: { kind: "last" } });
  });

  test.each([[["--help"]], [["run", "-h"]], [["help"]], [["run", "x", "--help"]]])("%j asks for help", (args) => {
    expect(parseCommand(args)).toEqual({ kind: "help" });
  });

  test("-v asks for the version", () => {
    expect(parseCommand(["-v"])).toEqual({ kind: "version" });
  });

  test.each([
    [[], "`run` was expected"],
    [["walk", "x"], 'The command is "walk"'],
    [["run", "--gaol", "x"], "Unknown option '--gaol'"],
    [["run", "--timeout"], "--timeout"],
    [["run", "--timeout", "--auto"], "--timeout has no value; one was expected."],
    [["run", "-s", "--auto"], "has no value; one was expected."],
    [["run", "--timeout", "-5", "x"], '--timeout is "-5"; seconds were expected'],
    [["run", "--resume"], "-s <id> or -c was expected"],
    [["run", "-c", "--resume", "x"], "the goal goes on as it is"],
    [["run", "-c", "--resume", "--goal"], "--resume and --goal are both given"],
    [["run", "-c", "--resume", "--agent", "plan"], "--resume and --agent are both given"],
    [["run", "--timeout", "0", "x"], "more than 0"],
    [["run", "--timeout", "1e9", "x"], "at most"],
    [["run", "--timeout", "", "x"], "seconds were expected"],
    [["run", "--model", "gpt", "x"], "provider/model was expected"],
    [["run", "--model", "/gpt", "x"], "provider/model was expected"],
    [["run", "--attach", "localhost:4096", "x"], "an address like http://"],
    [["run", "--session", "1", "x"], "an id like ses_"],
    [["run", "--session", "ses_1", "--continue", "x"], "one of them was expected"],
    [["run", "--session", "ses_1", "--title", "t", "x"], "it names a new one"],
    [["run", "--format", "xml", "x"], "text or json was expected"],
    [["run", "  "], "the prompt is empty"],
    [["run", "--agent", "", "x"], "--agent is empty"],
  ])("%j is refused with what was expected", (args, said) => {
    expect(() => parseCommand(args)).toThrow(UsageError);
    expect(() => parseCommand(args)).toThrow(said);
    expect(() => parseCommand(args)).not.toThrow("\n");
  });
});
