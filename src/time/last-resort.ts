import { systemClock } from "./clock.ts";

const DRAINS_WITHIN_MS = 2_000;

/**
 * Lets a program end by itself, so that everything it has written reaches its reader. What keeps it alive for longer than
 * two seconds, a connection for instance, does not keep it any more.
 */
export function endWith(exitCode: number): void {
  process.exitCode = exitCode;
  systemClock.after(DRAINS_WITHIN_MS, () => process.exit(exitCode));
}
