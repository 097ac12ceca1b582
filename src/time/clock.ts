/**
 * The only source of time. Everything that waits keeps an absolute `until` in its state and asks a clock to ring
 * once; see {@link Alarm}. Tests inject a clock that they advance by hand.
 */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Calls `ring` once, `delayMs` from now, without keeping the process alive. Returns its cancellation. */
  after(delayMs: number, ring: () => void): () => void;
}

/** Longer delays overflow the 32-bit timers of Node and Bun and would fire at once. They ring this early. */
export const LONGEST_DELAY_MS = 2_147_483_647;

/** The clock of the machine. Its timers are unref'd: a plugin must never hold a process open. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, ring) {
    const timer = setTimeout(ring, Math.min(delayMs, LONGEST_DELAY_MS));
    timer.unref?.();
    return () => clearTimeout(timer);
  },
};
