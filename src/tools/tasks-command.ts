import { spokenArguments } from "../goals/command.ts";

/** The name of the command, without its slash. */
export const TASKS_COMMAND = "tasks";

/** What a person says with `/tasks …`. */
export type TasksCommand =
  | { readonly type: "show" }
  | { readonly type: "cancel-all" }
  /** A number of the list that was shown last, or the id of a task. */
  | { readonly type: "cancel"; readonly which: number | string }
  | { readonly type: "unclear"; readonly said: string };

const SHOW: ReadonlySet<string> = new Set(["", "list", "show", "status"]);
const ID = /^ses_[0-9A-Za-z]+$/;

/** Reads the arguments of the command. What is not understood does nothing: to cancel cannot be undone. */
export function parseTasksCommand(args: string): TasksCommand {
  const said = spokenArguments(args, TASKS_COMMAND);
  const [verb = "", what = "", ...more] = said.split(/\s+/);
  if (more.length === 0 && verb.toLowerCase() === "cancel") {
    if (what.toLowerCase() === "all") return { type: "cancel-all" };
    if (ID.test(what)) return { type: "cancel", which: what };
    const number = /^#?(\d{1,6})\.?$/.exec(what)?.[1];
    if (number !== undefined) return { type: "cancel", which: Number(number) };
  }
  return SHOW.has(said.toLowerCase()) ? { type: "show" } : { type: "unclear", said };
}
