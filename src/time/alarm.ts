import { type Clock, LONGEST_DELAY_MS } from "./clock.ts";

/**
 * One timer for any number of deadlines. The owner names the earliest deadline it knows; the alarm rings at or
 * before it, and the owner looks at its state again. A ring carries no intent, so an outdated one is harmless.
 */
export class Alarm {
  private disarm: (() => void) | undefined;
  private armedFor = Number.POSITIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly ring: () => void,
  ) {}

  /** Replaces the armed deadline (epoch ms). `Infinity` means that nothing is waited for. */
  arm(deadline: number): void {
    if (deadline === this.armedFor) return;
    this.clear();
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.armedFor = deadline;
    const delayMs = Math.min(Math.max(deadline - this.clock.now(), 0), LONGEST_DELAY_MS);
    this.disarm = this.clock.after(delayMs, () => {
      this.disarm = undefined;
      this.armedFor = Number.POSITIVE_INFINITY;
      this.ring();
    });
  }

  clear(): void {
    this.disarm?.();
    this.disarm = undefined;
    this.armedFor = Number.POSITIVE_INFINITY;
  }

  get armed(): boolean {
    return this.disarm !== undefined;
  }
}
