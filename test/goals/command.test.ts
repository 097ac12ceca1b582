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
    expect(parseGoalCommand("editing must work", "goal")).toMatchObject({ type: "set" });
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
