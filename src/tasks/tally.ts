/** Counts by name; what is back at nothing is not kept. */
export class Tally {
  private readonly counts = new Map<string, number>();

  add(name: string, change: 1 | -1): void {
    const count = (this.counts.get(name) ?? 0) + change;
    if (count > 0) this.counts.set(name, count);
    else this.counts.delete(name);
  }

  /** Counted while the work is under way. */
  async during<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.add(name, 1);
    try {
      return await work();
    } finally {
      this.add(name, -1);
    }
  }

  has(name: string): boolean {
    return this.counts.has(name);
  }
}
