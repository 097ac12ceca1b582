import { describe, expect, test } from "bun:test";
import { parseGoalCommand } from "../../src/goals/command.ts";

describe("/goal", () => {
  test.each(["", "   ", "status", "STATUS", '""'])("%p shows the goal", (args) => {
    expect(parseGoalCommand(args)).toEqual({ type: "show" });
  });

  test.each(["pause", "resume", "clear"] as const)("%s acts, in any case and in quotes", (word) => {
    for (const args of [word, ` ${word} `, word.toUpperCase(), `"${word}"`])
      expect(parseGoalCommand(args)).toEqual({ type: word });
  });

  test("everything else is an objective, word for word", () => {
    for (const said of ["pause the video player", "fix $& and $1", "line one\nline two"]) {
      expect(parseGoalCommand(said)).toEqual({ type: "set", objective: said });
    }
  });

  test("the quotes that `opencode run` puts around an objective are taken off", () => {
    expect(parseGoalCommand('"say \\"hi\\" to them"')).toEqual({ type: "set", objective: 'say "hi" to them' });
  });
});
