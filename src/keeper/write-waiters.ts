/** Who waits until a root is written. */
export class WriteWaiters {
  private readonly waiting = new Map<string, (() => void)[]>();

  /** Resolves at the first {@link tell} that finds the root written. */
  over(rootID: string): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.set(rootID, [...(this.waiting.get(rootID) ?? []), resolve]);
    });
  }

  tell(isWritten: (rootID: string) => boolean): void {
    for (const [rootID, resolves] of this.waiting) {
      if (!isWritten(rootID)) continue;
      this.waiting.delete(rootID);
      for (const resolve of resolves) resolve();
    }
  }
}
