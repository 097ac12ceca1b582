import { isAhead, stampOf } from "../tasks/message-order.ts";
import type { Clock } from "../time/clock.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH = 14;
/** The host counts from 1 within a millisecond; starting higher makes ours sort behind its own. */
const FIRST_COUNT = 0x800;
const STAMPS = 2 ** 48;

/**
 * Makes ids in OpenCode's own format: a prefix, the low 48 bits of `milliseconds * 4096 + counter` in hex, and 14
 * random characters. They ascend, and a message id sorts behind the newest one the session is known to have. An id of
 * any other form, or one far ahead of our clock, moves nothing: all that we made later would be as far ahead.
 */
export class HostIds {
  private last = 0;

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number = Math.random,
  ) {}

  message(after: string): string {
    return this.make("msg", stampOf(after, this.clock.now()) ?? 0);
  }

  part(): string {
    return this.make("prt", 0);
  }

  private make(prefix: string, after: number): string {
    const now = this.clock.now();
    const first = (now * 4096 + FIRST_COUNT) % STAMPS;
    // The clock was set back, or the 48 bits have begun again.
    const last = isAhead(this.last, now) ? 0 : this.last;
    this.last = Math.max(first, after + 1, last + 1);
    const random = Array.from(
      { length: RANDOM_LENGTH },
      () => ALPHABET[Math.floor(this.random() * ALPHABET.length)],
    ).join("");
    return `${prefix}_${this.last.toString(16).padStart(12, "0")}${random}`;
  }
}
