/** Thrown when nothing that a wait was looking for arrived in time. */
export class WaitTimeoutError extends Error {
  override readonly name = "WaitTimeoutError";
  readonly timeoutMs: number;
  /** How many items the log held when the time was up. */
  readonly seen: number;

  constructor(what: string, timeoutMs: number, seen: number, recent: string) {
    super(
      `No ${what} matched within ${timeoutMs} ms (${seen} seen${recent === "" ? "" : `; the last ones: ${recent}`})`,
    );
    this.timeoutMs = timeoutMs;
    this.seen = seen;
  }
}

/** Thrown by a wait whose source ended (the server was closed, the process is gone) before anything matched. */
export class LogEndedError extends Error {
  override readonly name = "LogEndedError";
  readonly seen: number;

  constructor(what: string, seen: number, why: string) {
    super(`No ${what} matched and none can follow: ${why} (${seen} seen)`);
    this.seen = seen;
  }
}

export interface WaitOptions {
  /** How long to wait, in milliseconds. @default 15000 */
  timeoutMs?: number;
  /** Index of the first item that may match. @default 0, so that what already happened counts */
  from?: number;
}

/** An append-only list that can be waited on. Every wait looks at what is already there first. */
export class ObservableLog<T> {
  readonly items: T[] = [];
  readonly #what: string;
  readonly #describe: (item: T) => string;
  readonly #watchers = new Set<() => void>();
  #ended: string | undefined;

  /**
   * @param what what an item is called in an error message
   * @param describe a few words about one item, for the same message
   */
  constructor(what: string, describe: (item: T) => string) {
    this.#what = what;
    this.#describe = describe;
  }

  append(item: T): void {
    this.items.push(item);
    this.changed();
  }

  /** Lets every wait look again; for items that change after they were appended. */
  changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  end(why: string): void {
    this.#ended ??= why;
    this.changed();
  }

  waitFor(predicate: (item: T, index: number) => boolean, options: WaitOptions = {}): Promise<T> {
    const timeoutMs = options.timeoutMs ?? 15_000;
    const from = options.from ?? 0;
    return new Promise<T>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      const look = (): void => {
        try {
          const found = this.items.findIndex((item, index) => index >= from && predicate(item, index));
          if (found >= 0) finish(() => resolve(this.items[found] as T));
          else if (this.#ended !== undefined) {
            const error = new LogEndedError(this.#what, this.items.length, this.#ended);
            finish(() => reject(error));
          }
        } catch (error) {
          finish(() => reject(error));
        }
      };
      const timer = setTimeout(() => {
        const recent = this.items.slice(-5).map(this.#describe).join(", ");
        finish(() => reject(new WaitTimeoutError(this.#what, timeoutMs, this.items.length, recent)));
      }, timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }
}
