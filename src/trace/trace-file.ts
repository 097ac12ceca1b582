import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { TraceEntry, TraceRecord } from "./schema.ts";

const LONGEST_BACK_OFF_MS = 60_000;
const { O_RDWR, O_CREAT, O_APPEND } = constants;
/** A path that happens to be a pipe must fail, not block. Windows has no such flag. */
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;

/**
 * One trace file. A line is written at once, so that a `kill -9` loses nothing, and the file is not kept open: the
 * whole append takes about 4 µs, and a directory that was removed or a disk that was freed is noticed by itself.
 */
export class TraceFile {
  private seq = 0;
  private dropped = 0;
  private failures = 0;
  private retryAt = 0;
  /** Whether the file may end in the middle of a line: after a crash, a full disk, or not looked at yet. */
  private maybeTorn = true;

  constructor(
    private readonly path: string,
    private readonly rootID: string,
    private readonly pid: number,
    private readonly life: string,
  ) {}

  /** The number of the last line, written or not. */
  get last(): number {
    return this.seq;
  }

  /** @returns what went wrong, if something did. While it backs off, lines are only counted. */
  append(entry: TraceEntry): NodeJS.ErrnoException | undefined {
    const record = this.stamp(entry);
    if (this.dropped > 0 && entry.at < this.retryAt) {
      this.dropped++;
      return undefined;
    }
    const gap: TraceEntry[] = this.dropped > 0 ? [{ at: entry.at, kind: "gap", dropped: this.dropped }] : [];
    const records = [...gap.map((lost) => ({ ...this.place(), ...lost })), record];
    try {
      this.write(records.map((line) => `${JSON.stringify(line)}\n`).join(""));
    } catch (error) {
      this.dropped++;
      this.failures++;
      this.maybeTorn = true;
      this.retryAt = entry.at + Math.min(1_000 * 2 ** (this.failures - 1), LONGEST_BACK_OFF_MS);
      return error as NodeJS.ErrnoException;
    }
    this.dropped = 0;
    this.failures = 0;
    return undefined;
  }

  private stamp({ at, ...entry }: TraceEntry): TraceRecord {
    this.seq++;
    return { at, ...this.place(), ...entry } as TraceRecord;
  }

  private place(): Pick<TraceRecord, "seq" | "pid" | "life" | "root"> {
    return { seq: this.seq, pid: this.pid, life: this.life, root: this.rootID };
  }

  private write(lines: string): void {
    const file = this.open();
    try {
      const bytes = Buffer.from(this.maybeTorn && endsInMidLine(file) ? `\n${lines}` : lines);
      // A disk that fills up takes a part first; asking again for the rest tells why.
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
      this.maybeTorn = false;
    } finally {
      closeSync(file);
    }
  }

  private open(): number {
    const flags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK;
    try {
      return openSync(this.path, flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      return openSync(this.path, flags, 0o600);
    }
  }
}

function endsInMidLine(file: number): boolean {
  const { size } = fstatSync(file);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last.toString() !== "\n";
}
