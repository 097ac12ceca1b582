import type { Clock } from "../time/clock.ts";

const LOOK_EVERY_MS = 1_000;

/**
 * Whether `npx` (or `npm exec`) has started this process. It does not pass on the signal that ends it. Others may leave
 * this program behind on purpose, as `nohup` does.
 */
export function isStartedByNpx(env: Readonly<Record<string, string | undefined>>): boolean {
  return env.npm_command === "exec" && env.npm_lifecycle_event === "npx";
}

/** Calls `onOrphaned` once when the process that has started this one is gone. Returns its cancellation. */
export function whenOrphaned(clock: Clock, parentOf: () => number, onOrphaned: () => void): () => void {
  const parent = parentOf();
  let cancel: () => void = () => undefined;
  const look = () => {
    if (parentOf() !== parent) return onOrphaned();
    cancel = clock.after(LOOK_EVERY_MS, look);
  };
  look();
  return () => cancel();
}
