/** What a user says with `/goal …`. */
export type GoalCommand =
  | { readonly type: "show" }
  | { readonly type: "set"; readonly objective: string }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "clear" }
  /** Looks like a word of command that there is not: taken for an objective it would replace the goal. */
  | { readonly type: "unclear"; readonly said: string };

const WORDS: ReadonlyMap<string, GoalCommand> = new Map([
  ["", { type: "show" }],
  ["status", { type: "show" }],
  ["pause", { type: "pause" }],
  ["resume", { type: "resume" }],
  ["clear", { type: "clear" }],
] as const);

const NEAR_MISSES: ReadonlySet<string> = new Set(
  "abort cancel continue delete disable done edit end exit go halt help kill list off on quit reset restart start stop unpause why".split(
    " ",
  ),
);

/**
 * Reads the arguments of the command.
 *
 * @param command the name of the command, without its slash
 */
export function parseGoalCommand(args: string, command: string): GoalCommand {
  const said = spokenArguments(args, command);
  const word = said.toLowerCase();
  const known = WORDS.get(word) ?? { type: "set", objective: said };
  const bare = word.replace(/[.!?]+$/, "");
  const isNearMiss = NEAR_MISSES.has(bare) || (bare !== word && WORDS.has(bare));
  return known.type === "set" && isNearMiss ? { type: "unclear", said } : known;
}

/**
 * What a person has said behind the name of a command. `opencode run --command goal "fix it"` hands it over in quotes,
 * and OpenCode's completion leaves `/goal ` in the prompt, so that people type it twice.
 *
 * @param command the name of the command, without its slash
 */
export function spokenArguments(args: string, command: string): string {
  let said = unquote(args.trim()).trim();
  const again = `/${command}`;
  while (said === again || said.startsWith(`${again} `)) said = said.slice(again.length).trim();
  return said;
}

function unquote(text: string): string {
  // With a bare quote inside they are the user's own.
  return /^"(?:[^"\\]|\\.)*"$/s.test(text) ? text.slice(1, -1).replaceAll('\\"', '"') : text;
}
