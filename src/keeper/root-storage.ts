import type { Saved } from "./messages.ts";

type State =
  | { readonly kind: "saved" }
  /** `failures`: writes before this one that have failed in a row. */
  | {
      readonly kind: "saving";
      readonly revision: number;
      readonly messageID: string | undefined;
      readonly failures: number;
    }
  | { readonly kind: "failing"; readonly failures: number; readonly retryAt: number };

const LONGEST_BACK_OFF_MS = 60_000;
/** So many writes may follow each other at once, much more than the busiest root needs; then each takes its time. */
const FREE_WRITES = 300;
const WRITE_EVERY_MS = 500;
/** So often in a row it is written at once what somebody else has dropped; then he drops it again and again. */
const FREE_REPAIRS = 5;
/** Repairs so far apart have nothing to do with each other. */
const IN_A_ROW_MS = 60_000;
/** What can be told again from the transcript after a crash is written this late, away from the start of a turn. */
export const UNHURRIED_MS = 150;

/**
 * Whether the books of one root are stored, and when they are to be written. It does not write. Whatever asks for writes
 * without an end is slowed down here: a host on which each of them is an event for everybody must not be flooded.
 */
export class RootStorage {
  private state: State = { kind: "saved" };
  private dueAt = Number.POSITIVE_INFINITY;
  private storedID: string | undefined;
  private present = false;
  /** Each write moves it on; epoch ms. How far it is ahead says how many there were of late. */
  private spentUntil = 0;
  private repairs = { times: 0, at: 0 };

  /** The session carries our key. */
  get isPresent(): boolean {
    return this.present;
  }

  /** It does, or a write that has begun may have put it there. */
  get mayBePresent(): boolean {
    return this.present || this.state.kind === "saving";
  }

  get isFailing(): boolean {
    return this.state.kind === "failing";
  }

  /** How many writes in a row have failed. */
  get failures(): number {
    return this.state.kind === "saved" ? 0 : this.state.failures;
  }

  /** Nothing is under way and nothing is to be written. */
  get isSettled(): boolean {
    return this.state.kind === "saved" && this.dueAt === Number.POSITIVE_INFINITY;
  }

  /** The message id whose reservation is stored: only that one may be sent. */
  get reservedID(): string | undefined {
    return this.storedID;
  }

  /** When the next write is to be begun; `Infinity` while one is under way, or if none is needed. */
  get deadline(): number {
    if (this.state.kind === "saving") return Number.POSITIVE_INFINITY;
    if (this.state.kind === "failing") return this.state.retryAt;
    return Math.max(this.dueAt, this.spentUntil - FREE_WRITES * WRITE_EVERY_MS);
  }

  /** Something durable has changed: it is to be written at `at` (epoch ms), or earlier. */
  changed(at: number): void {
    this.dueAt = Math.min(this.dueAt, at);
  }

  /** Somebody else has dropped what was stored. */
  damaged(now: number): void {
    const isRow = now < this.repairs.at + IN_A_ROW_MS;
    const times = (isRow ? this.repairs.times : 0) + 1;
    const waitMs = times <= FREE_REPAIRS ? 0 : Math.min(1_000 * 2 ** (times - FREE_REPAIRS - 1), LONGEST_BACK_OFF_MS);
    this.repairs = { times, at: now + waitMs };
    this.changed(now + waitMs);
  }

  isDue(now: number): boolean {
    return this.deadline <= now;
  }

  /** What is stored was just read, so it need not be written. */
  wasRead(): void {
    this.present = true;
    this.dueAt = Number.POSITIVE_INFINITY;
  }

  begin(revision: number, messageID: string | undefined, now: number): void {
    this.spentUntil = Math.max(this.spentUntil, now) + WRITE_EVERY_MS;
    const failures = this.state.kind === "failing" ? this.state.failures : 0;
    this.state = { kind: "saving", revision, messageID, failures };
    this.dueAt = Number.POSITIVE_INFINITY;
  }

  /** Takes the answer of a write; undefined if it is not the one that is waited for. */
  end(
    revision: number,
    result: Exclude<Saved, { kind: "gone" }>,
    now: number,
  ): { readonly failures: number } | undefined {
    if (this.state.kind !== "saving" || this.state.revision !== revision) return undefined;
    const failures = this.state.failures + 1;
    if (result.kind === "failed") {
      this.state = { kind: "failing", failures, retryAt: now + Math.min(1_000 * 2 ** failures, LONGEST_BACK_OFF_MS) };
      return { failures };
    }
    if (result.kind === "ok") this.storedID = this.state.messageID;
    this.present = true;
    this.state = { kind: "saved" };
    return { failures: 0 };
  }

  /** Nothing of it is wanted any more: what failed is not tried again. */
  giveUp(): void {
    if (this.state.kind === "failing") this.state = { kind: "saved" };
    this.dueAt = Number.POSITIVE_INFINITY;
  }
}
