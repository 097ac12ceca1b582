#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { type Command, parseCommand } from "./cli/arguments.ts";
import { NotStartedError, UsageError } from "./cli/errors.ts";
import { EXIT, type ExitCode } from "./cli/exit-codes.ts";
import { GUARD, runGuard } from "./cli/guard.ts";
import { HELP } from "./cli/help.ts";
import { start } from "./cli/start.ts";
import { endWith } from "./time/last-resort.ts";

const [first, ...rest] = process.argv.slice(2);
// Also of `goalkeeper --help | head -1`: an error of a stream that nobody handles ends in a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
if (first === GUARD) runGuard(rest);
else
  main(process.argv.slice(2)).then(endWith, (error: unknown) => {
    process.stderr.write(`goalkeeper: ${error instanceof Error ? error.stack : String(error)}\n`);
    endWith(EXIT.failed);
  });

async function main(args: readonly string[]): Promise<ExitCode> {
  try {
    return await execute(parseCommand(args));
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof NotStartedError)) throw error;
    process.stderr.write(
      `goalkeeper: ${error.message} Nothing was started. \`goalkeeper --help\` lists what there is.\n`,
    );
    return EXIT.notStarted;
  }
}

async function execute(command: Command): Promise<ExitCode> {
  switch (command.kind) {
    case "help":
      process.stdout.write(HELP);
      return EXIT.done;
    case "version":
      process.stdout.write(`${version()}\n`);
      return EXIT.done;
    case "run":
      return start(command.settings);
  }
}

function version(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
