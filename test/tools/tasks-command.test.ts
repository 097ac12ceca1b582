import { describe, expect, test } from "bun:test";
import { parseTasksCommand } from "../../src/tools/tasks-command.ts";

describe("/tasks", () => {
  test.each(["", "  ", '""', "list", "STATUS", "/tasks"])("%p shows the tasks", (args) => {
    expect(parseTasksCommand(args)).toEqual({ type: "show" });
  });

  test.each(["cancel all", "Cancel ALL", " cancel   all ", '"cancel all"', "/tasks cancel all"])(
    "%p cancels all of them",
    (args) => {
      expect(parseTasksCommand(args)).toEqual({ type: "cancel-all" });
    },
  );

  test.each([
    ["cancel 3", 3],
    ["cancel #12", 12],
    ["cancel 3.", 3],
    ["cancel 0", 0],
    ["cancel ses_1fE5", "ses_1fE5"],
  ])("%p cancels one", (args, which) => {
    expect(parseTasksCommand(args)).toEqual({ type: "cancel", which });
  });

  test.each([
    "cancel",
    "cancel everything",
    "cancel 1 2",
    "cancel -1",
    "stop",
    "all",
    "cancel all now",
    "3",
    "cancel !`x`",
  ])("%p is not understood, and does nothing", (said) => {
    expect(parseTasksCommand(said)).toEqual({ type: "unclear", said });
  });
});
