/** Under `npx` one Ctrl-C comes twice: from the terminal, and passed on by npm a few milliseconds later. */
const SAME_WISH_MS = 200;

/** The first wish to end is kind: the work is interrupted, and its end is waited for. The second one is not. */
export class Interrupts {
  private readonly wish = new AbortController();
  private readonly lastActs = new Set<() => void>();
  private wishedAt = 0;

  /** Aborted by the first wish. */
  get first(): AbortSignal {
    return this.wish.signal;
  }

  get isWished(): boolean {
    return this.wish.signal.aborted;
  }

  /** @returns how the wish is granted; `at-once` is the caller's to do */
  ask(now: number): "kindly" | "heard" | "at-once" {
    if (this.isWished) return now - this.wishedAt < SAME_WISH_MS ? "heard" : "at-once";
    this.wishedAt = now;
    this.wish.abort();
    return "kindly";
  }

  /** What has to be done, without waiting, before the process ends at once. */
  beforeTheEnd(act: () => void): void {
    this.lastActs.add(act);
  }

  act(): void {
    for (const act of this.lastActs) act();
  }
}
