/** What a user says with `/goal …`. */
export type GoalCommand =
  | { readonly type: "show" }
  | { readonly type: "set"; readonly objective: string }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "clear" };

const WORDS: ReadonlyMap<string, GoalCommand> = new Map([
  ["", { type: "show" }],
  ["status", { type: "show" }],
  ["pause", { type: "pause" }],
  ["resume", { type: "resume" }],
  ["clear", { type: "clear" }],
] as const);

/**
 * Reads the arguments of the command. `opencode run --command goal "fix it"` hands them over in quotes, and OpenCode's
 * completion leaves `/goal ` in the prompt, so that people type it twice.
 *
 * @param command the name of the command, without its slash
 */
export function parseGoalCommand(args: string, command: string): GoalCommand {
  let said = unquote(args.trim()).trim();
  const again = `/${command}`;
  while (said === again || said.startsWith(`${again} `)) said = said.slice(again.length).trim();
  return WORDS.get(said.toLowerCase()) ?? { type: "set", objective: said };
}

function unquote(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replaceAll('\\"', '"')
    : text;
}
