import type { Clock } from "../time/clock.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH = 14;
/** The host counts from 1 within a millisecond; starting higher makes ours sort behind its own. */
const FIRST_COUNT = 0x800;
const TIME_HEX = /^msg_([0-9a-f]{12})/;

/**
 * Makes ids in OpenCode's own format: a prefix, the low 48 bits of `milliseconds * 4096 + counter` in hex, and 14
 * random characters. They ascend, and a message id sorts behind the newest one the session is known to have.
 */
export class HostIds {
  private last = 0n;

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number = Math.random,
  ) {}

  message(after: string): string {
    return this.make("msg", stamp(after));
  }

  part(): string {
    return this.make("prt", 0n);
  }

  private make(prefix: string, after: bigint): string {
    const now = (BigInt(this.clock.now()) * 4096n + BigInt(FIRST_COUNT)) & 0xffff_ffff_ffffn;
    const floor = after > this.last ? after : this.last;
    this.last = now > floor ? now : floor + 1n;
    const random = Array.from(
      { length: RANDOM_LENGTH },
      () => ALPHABET[Math.floor(this.random() * ALPHABET.length)],
    ).join("");
    return `${prefix}_${this.last.toString(16).padStart(12, "0")}${random}`;
  }
}

function stamp(id: string): bigint {
  const hex = TIME_HEX.exec(id)?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}
