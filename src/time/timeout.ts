import { type Clock, systemClock } from "./clock.ts";

/** Raised when a call did not answer within its bound. The call itself may still be running. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
  constructor(
    readonly what: string,
    readonly timeoutMs: number,
  ) {
    super(`${what} did not answer within ${timeoutMs} ms`);
  }
}

/**
 * Settles like `work`, or rejects with {@link TimeoutError} after `timeoutMs`.
 *
 * @example await withTimeout("session.status", client.session.status(), 5_000)
 */
export function withTimeout<T>(
  what: string,
  work: Promise<T>,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new TimeoutError(what, timeoutMs)));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
