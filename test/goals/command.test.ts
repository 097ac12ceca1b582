import { describe, expect, test } from "bun:test";
import { parseGoalCommand } from "../../src/goals/command.ts";

describe("/goal", () => {
  test.each(["", "   ", "status", "STATUS", '""'])("%p shows the goal", (args) => {
    expect(parseGoalCommand(args, "goal")).toEqual({ type: "show" });
  });

  test.each(["pause", "resume", "clear", "why", "list"] as const)("%s acts, in any case and in quotes", (word) => {
    for (const args of [word, ` ${word} `, word.toUpperCase(), `"${word}"`])
      expect(parseGoalCommand(args, "goal")).toEqual({ type: word });
  });

  test("everything else is an objective, word for word", () => {
    for (const said of ["pause the video player", "fix $& and $1", "line one\nline two"]) {
      expect(parseGoalCommand(said, "goal")).toEqual({ type: "set", objective: said, budget: {} });
    }
  });

  test.each(["stop", "Cancel", "help", "edit", "pause.", "clear!"])(
    "%p is taken for a slip, never for an objective",
    (said) => {
      expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said });
    },
  );

  test.each([
    "resume now",
    "pause please",
    "clear all",
    "stop it",
    "'stop'",
    '"clear all"',
    "--help",
    "/goal /goal resume now",
    "stop --turns 5",
  ])("%p is a word with something around it: taken for an objective it would replace the goal", (said) => {
    expect(parseGoalCommand(said, "goal").type).toBe("unclear");
  });

  test.each([
    "clear the cache directory and make the tests pass",
    "resume uploads after a network error",
    "- fix this and that",
    "run the tests with --coverage",
    "print the first lines with head -n 5",
    "do it —and do it well",
  ])("%p is an objective", (objective) => {
    expect(parseGoalCommand(objective, "goal")).toEqual({ type: "set", objective, budget: {} });
  });

  test.each([
    ["resume --turns 50", "resume"],
    ["pause --minutes 10", "pause"],
    ["status --tokens 1k", "status"],
    ["--turns 5 clear", "clear"],
  ])("%p changes nothing: a word takes no limits", (said, word) => {
    const problem = `"${word}" takes no limits, an objective does`;
    expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said, problem });
  });

  test("words are found in single quotes, and in those of phones", () => {
    for (const said of ["'resume'", "\u201cresume\u201d", "\u2018resume\u2019"])
      expect(parseGoalCommand(said, "goal")).toEqual({ type: "resume" });
  });

  test.each([
    "fix it --TURNS 5",
    "fix it \u2014turns 5",
    "fix it \u2013turns=5",
    "fix it --turns\t5",
    "fix it --turns\n5",
    "fix it --turns = 5",
    "fix it --turns: 5",
    'fix it --turns "5"',
    "--turns\n5 fix it",
    "'fix it' --turns 5",
  ])("%p has a limit, however it is written", (said) => {
    expect(parseGoalCommand(said, "goal")).toEqual({ type: "set", objective: "fix it", budget: { turns: 5 } });
  });

  test.each([
    ["fix it --turns 5 --token 5k", "--token is no limit; --tokens was expected, or the objective in quotes"],
    ["fix it --turn 5", "--turn is no limit; --turns was expected, or the objective in quotes"],
    ["fix it -turns 5", "-turns is no limit; --turns was expected, or the objective in quotes"],
    ["--max-turns=5 fix it", "--max-turns is no limit; --turns was expected, or the objective in quotes"],
    ["fix it --turn", "--turn is no limit; --turns was expected, or the objective in quotes"],
    [
      "--budget 5 fix it",
      "--budget is no limit; --turns, --tokens or --minutes was expected, or the objective in quotes",
    ],
    ["fix it --turns 5 --turns 6", "--turns is said twice"],
    ["fix it --turns --tokens 5k", "--turns has no value; a whole number, 1 or more was expected"],
  ])("%p changes nothing, whatever good limits stand beside it", (said, problem) => {
    expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said, problem });
  });

  test.each(["turns", "tokens", "minutes"])("--%s is no number that cannot be stored", (name) => {
    const said = `fix it --${name} ${"9".repeat(400)}`;
    const problem = `--${name} is "${"9".repeat(39)}…"; a smaller number was expected`;
    expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said, problem });
  });

  test("an objective in quotes is taken literally, whatever stands in it", () => {
    const read = (said: string) => parseGoalCommand(said, "goal");
    for (const objective of ["document --turns 5", "print -v and --token 5k", "- say it"]) {
      expect(read(`"${objective}"`)).toEqual({ type: "set", objective, budget: {} });
      expect(read(`"${objective}" --turns 5`)).toEqual({ type: "set", objective, budget: { turns: 5 } });
      expect(read(`\u201c${objective}\u201d --turns 5`)).toEqual({ type: "set", objective, budget: { turns: 5 } });
    }
    const objective = 'accept "say --turns 5"';
    expect(read(objective)).toEqual({ type: "set", objective, budget: {} });
    expect(read('fix 5" pipes --turns 5')).toEqual({ type: "set", objective: 'fix 5" pipes', budget: { turns: 5 } });
  });

  test("the quotes that `opencode run` puts around what has spaces are not the user's", () => {
    const read = (said: string) => parseGoalCommand(said, "goal", true);
    const objective = "fix it --turns 5";
    expect(read(`"${objective}"`)).toEqual({ type: "set", objective: "fix it", budget: { turns: 5 } });
    expect(read(`"\\"${objective}\\""`)).toEqual({ type: "set", objective, budget: {} });
    expect(read('"resume --turns 5"').type).toBe("unclear");
  });

  test.each([
    `${".".repeat(200_000)}x`,
    `stop${".".repeat(200_000)}x`,
    "w".repeat(200_000),
    `--${"turns".repeat(40_000)} 5 fix it`,
    `fix it --turns ${"=".repeat(50_000)}`,
    `fix it --turns ${"= ".repeat(50_000)}`,
    `fix it --turns ${"9".repeat(200_000)}`,
    "/goal ".repeat(40_000),
    "--turns 5 ".repeat(20_000),
    `"${"\\".repeat(200_000)}"`,
    `${"a ".repeat(100_000)}--turns 5`,
  ])("what is pasted is read without a hang (%#)", (said) => {
    expect(() => parseGoalCommand(said, "goal")).not.toThrow();
  });

  test("limits stand before or behind the objective, in any order", () => {
    const read = (said: string) => parseGoalCommand(said, "goal");
    const budget = { turns: 5, tokens: 100_000, ms: 30 * 60_000 };
    const wanted = { type: "set" as const, objective: "fix the build", budget };
    expect(read("fix the build --turns 5 --tokens 100k --minutes 30")).toEqual(wanted);
    expect(read("--minutes=30 --tokens=0.1M fix the build --turns 5")).toEqual(wanted);
    expect(read('"fix the build" --turns 5')).toEqual({ ...wanted, budget: { turns: 5 } });
  });

  test("a limit in the midst of an objective is part of it", () => {
    const objective = "make --turns 5 work in the parser";
    expect(parseGoalCommand(objective, "goal")).toEqual({ type: "set", objective, budget: {} });
  });

  test.each([
    ["fix it --turns", "--turns has no value; a whole number, 1 or more was expected"],
    ["fix it --turns 0", '--turns is "0"; a whole number, 1 or more was expected'],
    ["fix it --turns many", '--turns is "many"; a whole number, 1 or more was expected'],
    ["fix it --tokens 5x", '--tokens is "5x"; a number like 50000, 100k or 1.5M was expected'],
    ["--minutes -3 fix it", '--minutes is "-3"; a number above 0 was expected'],
    ["--turns 5", "an objective is missing beside the limits"],
  ])("%p changes nothing, and says what was expected", (said, problem) => {
    expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said, problem });
  });

  test("edit takes another objective, word for word", () => {
    const objective = "fix it --turns 5, and\nmore";
    expect(parseGoalCommand(`edit ${objective}`, "goal")).toEqual({ type: "edit", objective });
    expect(parseGoalCommand(`EDIT "${objective}"`, "goal")).toEqual({ type: "edit", objective });
    expect(parseGoalCommand('edit "fix it --turns 5"', "goal")).toEqual({
      type: "edit",
      objective: "fix it --turns 5",
    });
    expect(parseGoalCommand("edit 'fix it'", "goal")).toEqual({ type: "edit", objective: "fix it" });
    expect(parseGoalCommand("editing must work", "goal")).toMatchObject({ type: "set" });
  });

  test.each([
    "edit --turns 50",
    "edit fix it --turns 5",
    "edit --turns 5 fix it",
    "--turns 5 edit fix it",
    "edit fix it --turns x",
    '"edit --turns 50"',
    "edit fix it --token 5",
  ])("%p changes nothing: edit takes no limits", (said) => {
    expect(parseGoalCommand(said, "goal")).toMatchObject({
      type: "unclear",
      problem: expect.stringMatching(/^edit takes an objective alone/),
    });
  });

  test("quotes of the user's own stay", () => {
    const objective = '"a" must equal "b"';
    expect(parseGoalCommand(objective, "goal")).toEqual({ type: "set", objective, budget: {} });
  });

  test("a name that completion has left in the prompt, and people typed again, is taken off", () => {
    expect(parseGoalCommand("/goal pause", "goal")).toEqual({ type: "pause" });
    expect(parseGoalCommand("/goal", "goal")).toEqual({ type: "show" });
    expect(parseGoalCommand("/pursue /pursue fix it", "pursue")).toEqual({
      type: "set",
      objective: "fix it",
      budget: {},
    });
    expect(parseGoalCommand("/goals are good", "goal")).toEqual({
      type: "set",
      objective: "/goals are good",
      budget: {},
    });
  });

  test("the quotes that `opencode run` puts around an objective are taken off", () => {
    expect(parseGoalCommand('"say \\"hi\\" to them"', "goal")).toEqual({
      type: "set",
      objective: 'say "hi" to them',
      budget: {},
    });
  });
});
