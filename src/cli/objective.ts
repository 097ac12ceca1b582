import { parseGoalCommand } from "../goals/command.ts";
import { UsageError } from "./errors.ts";

/**
 * Makes sure that `/goal <objective>` begins a goal: the command's own words, and what looks like one of them, are
 * answered to a person, and start no turn that a run could wait for.
 *
 * @throws UsageError
 */
export function checkObjective(objective: string): void {
  const command = parseGoalCommand(objective, "goal");
  const said = JSON.stringify(objective.trim());
  switch (command.type) {
    case "set":
      return;
    case "resume":
      throw new UsageError(
        `The objective is ${said}; to go on with a goal \`goalkeeper run -s <id> --resume\` was expected.`,
      );
    case "unclear":
      throw new UsageError(
        command.problem === undefined
          ? `The objective is ${said}; what must be true in the end was expected.`
          : `The objective is not clear: ${command.problem}.`,
      );
    case "show":
    case "why":
    case "list":
    case "edit":
    case "pause":
    case "clear":
      throw new UsageError(
        `The objective is ${said}, which is a word of the command /goal for people; what must be true in the end was expected.`,
      );
  }
}
