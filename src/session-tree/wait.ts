import type { Client } from "../host/client.ts";
import { type Clock, LONGEST_DELAY_MS, systemClock } from "../time/clock.ts";
import { SessionTreeArgumentError, UnknownOptions } from "./errors.ts";
import type { SessionTreeOutcome } from "./outcome.ts";
import { OpencodeSource } from "./source.ts";
import type { SessionTreeState } from "./state.ts";
import { TreeWait, type TreeWaitSettings } from "./tree-wait.ts";

export interface WaitForSessionTreeOptions {
  /** Ends the wait with the outcome `aborted`; the sessions go on. */
  readonly signal?: AbortSignal | undefined;
  /** Called with every change, first with what there was when the wait began. What it throws ends the wait. */
  readonly onChange?: ((state: SessionTreeState) => void) | undefined;
  /** Ends the wait with the outcome `timed-out`; the sessions go on. @default none */
  readonly timeoutMs?: number | undefined;
}

/**
 * Waits until a root session is idle and nothing below it is owed any more: no session works, the end of every
 * background task was reported to the agent and answered, and no goal goes on. It may begin at any time, also when all
 * of that is under way already. It only watches: it answers no question, and stops nothing.
 *
 * It needs a server that listens (`opencode serve`, or a TUI with a port): from inside a plugin use a task manager.
 *
 * @param client a client of OpenCode's SDK
 * @returns how it ended; that OpenCode is gone is an outcome, too, and no error
 * @throws SessionTreeArgumentError when an argument is not what it should be; also what `onChange` throws
 * @example
 * await client.session.promptAsync({ path: { id }, body: { parts: [{ type: "text", text: "Review it in parallel" }] } });
 * const outcome = await waitForSessionTree(client, id, { timeoutMs: 600_000 });
 * if (outcome.kind !== "settled") throw new Error(`the review ended as ${outcome.kind}`);
 */
export async function waitForSessionTree(
  client: Client,
  rootID: string,
  options: WaitForSessionTreeOptions = {},
): Promise<SessionTreeOutcome> {
  checkOptions(options);
  const { signal, onChange, timeoutMs } = options;
  check(
    typeof client === "object" && client !== null && "event" in client && "session" in client,
    "client",
    CLIENT,
    client,
  );
  check(typeof rootID === "string" && rootID.startsWith("ses_"), "rootID", "the id of a session, ses_…,", rootID);
  check(signal === undefined || signal instanceof AbortSignal, "signal", "an AbortSignal", signal);
  check(onChange === undefined || typeof onChange === "function", "onChange", "a function", onChange);
  check(timeoutMs === undefined || isDuration(timeoutMs), "timeoutMs", `1 to ${LONGEST_DELAY_MS} ms`, timeoutMs);
  return watchSessionTree(client, { rootID, signal, onChange, timeoutMs });
}

/** As {@link waitForSessionTree}, for callers of our own, who also hear the events. */
export function watchSessionTree(
  client: Client,
  settings: TreeWaitSettings,
  clock: Clock = systemClock,
): Promise<SessionTreeOutcome> {
  return new TreeWait(new OpencodeSource(client, settings.rootID), clock, settings).outcome();
}

const CLIENT = "a client of OpenCode's SDK";

const OPTIONS: Readonly<Record<keyof WaitForSessionTreeOptions, true>> = {
  signal: true,
  onChange: true,
  timeoutMs: true,
};

function checkOptions(options: unknown): void {
  const expected = `an object with ${Object.keys(OPTIONS).join(", ")}, or none,`;
  check(typeof options === "object" && options !== null, "options", expected, options);
  const unknown = Object.keys(options as object).filter((name) => !(name in OPTIONS));
  check(unknown.length === 0, "options", expected, new UnknownOptions(unknown));
}

function isDuration(value: unknown): boolean {
  return typeof value === "number" && value > 0 && value <= LONGEST_DELAY_MS;
}

function check(isRight: boolean, argument: SessionTreeArgumentError["argument"], expected: string, got: unknown): void {
  if (!isRight) throw new SessionTreeArgumentError(argument, expected, got);
}
