import { describe, expect, test } from "bun:test";
import { parseGoalCommand } from "../../src/goals/command.ts";

describe("/goal", () => {
  test.each(["", "   ", "status", "STATUS", '""'])("%p shows the goal", (args) => {
    expect(parseGoalCommand(args, "goal")).toEqual({ type: "show" });
  });

  test.each(["pause", "resume", "clear"] as const)("%s acts, in any case and in quotes", (word) => {
    for (const args of [word, ` ${word} `, word.toUpperCase(), `"${word}"`])
      expect(parseGoalCommand(args, "goal")).toEqual({ type: word });
  });

  test("everything else is an objective, word for word", () => {
    for (const said of ["pause the video player", "fix $& and $1", "line one\nline two"]) {
      expect(parseGoalCommand(said, "goal")).toEqual({ type: "set", objective: said });
    }
  });

  test.each(["stop", "Cancel", "help", "list", "edit", "why", "pause.", "clear!"])(
    "%p is taken for a slip, never for an objective",
    (said) => {
      expect(parseGoalCommand(said, "goal")).toEqual({ type: "unclear", said });
    },
  );

  test("quotes of the user's own stay", () => {
    const objective = '"a" must equal "b"';
    expect(parseGoalCommand(objective, "goal")).toEqual({ type: "set", objective });
  });

  test("a name that completion has left in the prompt, and people typed again, is taken off", () => {
    expect(parseGoalCommand("/goal pause", "goal")).toEqual({ type: "pause" });
    expect(parseGoalCommand("/goal", "goal")).toEqual({ type: "show" });
    expect(parseGoalCommand("/pursue /pursue fix it", "pursue")).toEqual({ type: "set", objective: "fix it" });
    expect(parseGoalCommand("/goals are good", "goal")).toEqual({ type: "set", objective: "/goals are good" });
  });

  test("the quotes that `opencode run` puts around an objective are taken off", () => {
    expect(parseGoalCommand('"say \\"hi\\" to them"', "goal")).toEqual({ type: "set", objective: 'say "hi" to them' });
  });
});
