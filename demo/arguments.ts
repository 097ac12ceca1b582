import { parseArgs } from "node:util";

export interface DemoArguments {
  /** `provider/model` of the user's own; undefined: the scripted model. */
  readonly model: string | undefined;
  readonly keep: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run demo -- [options]

  A goal with three background tasks in a real, isolated OpenCode: one task completes, one fails, and one is lost
  when OpenCode is killed. Without options it needs no network and no key: a scripted model answers.

  --model provider/model   use a model of your own OpenCode configuration; this spends tokens
  --keep                   keep the sandbox directory for a look at it
  --help                   show this
`;

/** What was given is not what is understood; the message is for the user. */
export class ArgumentError extends Error {
  override readonly name = "ArgumentError";
}

/** @throws ArgumentError */
export function readArguments(args: readonly string[]): DemoArguments {
  const { model, keep = false, help = false } = parse(args);
  if (model !== undefined && !/^[^/\s]+\/\S+$/.test(model)) {
    throw new ArgumentError(
      `--model is ${JSON.stringify(model)}; "provider/model" was expected, as "opencode models" lists them`,
    );
  }
  return { model, keep, help };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { model: { type: "string" }, keep: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    }).values;
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error));
  }
}
