import type { RunSettings } from "./arguments.ts";

/** The command that goes on with the goal of a session, for whoever reads how the run has ended. */
export function commandToGoOn(
  sessionID: string,
  { attach, directory }: Pick<RunSettings, "attach" | "directory">,
): string {
  const where = [
    ...(attach === undefined ? [] : ["--attach", quoted(attach)]),
    ...(directory === undefined ? [] : ["--dir", quoted(directory)]),
  ];
  return ["goalkeeper", "run", "-s", sessionID, "--resume", ...where].join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
