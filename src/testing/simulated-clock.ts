import type { Clock } from "../time/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly ring: () => void;
}

/** More rings than this without the clock moving on are a loop, not work. */
const MOST_RINGS_AT_ONE_MOMENT = 2_000;

/** Raised when timers of zero delay keep arming each other: with a real clock that is a busy loop. */
export class TimerStormError extends Error {
  override readonly name = "TimerStormError";
  constructor(readonly at: number) {
    super(`more than ${MOST_RINGS_AT_ONE_MOMENT} timers rang at ${at} without time passing`);
  }
}

/**
 * A clock that stands still until it is advanced. Timers ring in the order of their deadlines, those of one moment in
 * the order in which they were set. After each ring, promises that it settled run to their end before the next timer.
 *
 * @example
 * const clock = new SimulatedClock();
 * clock.after(1_000, () => console.log("rings"));
 * await clock.advance(1_000);
 */
export class SimulatedClock implements Clock {
  private current: number;
  private readonly timers: Timer[] = [];
  private order = 0;

  /** @param startAt epoch milliseconds */
  constructor(startAt = 1_700_000_000_000) {
    this.current = startAt;
  }

  now(): number {
    return this.current;
  }

  after(delayMs: number, ring: () => void): () => void {
    const timer: Timer = { at: this.current + Math.max(0, delayMs), order: this.order++, ring };
    const before = this.timers.findLastIndex((other) => other.at <= timer.at);
    this.timers.splice(before + 1, 0, timer);
    return () => {
      const at = this.timers.indexOf(timer);
      if (at >= 0) this.timers.splice(at, 1);
    };
  }

  /** How many timers are set. Zero when nothing waits for time any more. */
  pending(): number {
    return this.timers.length;
  }

  /** The earliest deadline; `Infinity` if no timer is set. */
  get nextAt(): number {
    return this.timers[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Lets `ms` milliseconds pass.
   *
   * @throws {@link TimerStormError} when timers keep ringing at one moment
   */
  async advance(ms: number): Promise<void> {
    await this.advanceTo(this.current + ms);
  }

  /** Advances to a moment (epoch milliseconds); never back. */
  async advanceTo(moment: number): Promise<void> {
    await this.settle();
    let rings = 0;
    while (this.nextAt <= moment) {
      const timer = this.timers.shift();
      if (timer === undefined) break;
      if (timer.at > this.current) rings = 0;
      if (++rings > MOST_RINGS_AT_ONE_MOMENT) throw new TimerStormError(this.current);
      this.current = Math.max(this.current, timer.at);
      timer.ring();
      await this.settle();
    }
    this.current = Math.max(this.current, moment);
  }

  /** Lets promises that are settled already run to their end, without time passing. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}
