import { UsageError } from "./errors.ts";

/** A standard input: piped, or a terminal. */
export interface Input extends AsyncIterable<unknown> {
  readonly isTTY?: boolean | undefined;
}

/**
 * The prompt as it was given, else what is piped in. With a prompt nothing is read: in CI the standard input may be a
 * pipe that nobody ever closes.
 *
 * @throws UsageError
 */
export async function promptFrom(given: string | undefined, input: Input): Promise<string> {
  if (given !== undefined) return given;
  if (input.isTTY === true) throw new UsageError('The prompt is missing; `goalkeeper run "…"` was expected.');
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk as Uint8Array | string));
  const prompt = Buffer.concat(chunks).toString("utf8").trim();
  if (prompt === "") throw new UsageError("The prompt is missing, and the standard input is empty.");
  return prompt;
}
