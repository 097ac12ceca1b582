import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { readLine } from "../src/trace/read.ts";
import type { TraceRecord } from "../src/trace/schema.ts";

type TaskRecord = Extract<TraceRecord, { kind: "task" }>;

/** Follows the traces in a directory while they grow, and knows from them alone how things stand. */
export class Follower {
  readonly tasks = new Map<string, { readonly title: string } & Exclude<TaskRecord["after"], undefined>>();
  goal: string | undefined;
  goalRecord: Extract<TraceRecord, { kind: "goal" }> | undefined;
  rootBusy = false;
  file: string | undefined;
  private offset = 0;
  private rest = "";

  constructor(
    private readonly directory: string,
    private readonly rootID: string,
    private readonly onRecord: (record: TraceRecord) => void,
    /** Called after each look, also one that found nothing. */
    private readonly onLook: () => void,
  ) {}

  /** Reads on until `done`; false if that takes too long. */
  async until(done: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      this.read();
      this.onLook();
      if (done()) return true;
      if (Date.now() > end || signal?.aborted === true) return false;
      await pause(40);
    }
  }

  read(): void {
    this.file ??= this.find();
    if (this.file === undefined) return;
    const lines = (this.rest + this.more(this.file)).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const read = readLine(line);
      if (read.kind !== "record") continue;
      this.learn(read.record);
      this.onRecord(read.record);
    }
  }

  private find(): string | undefined {
    try {
      const name = readdirSync(this.directory).find((name) => name === `${this.rootID}.jsonl`);
      return name === undefined ? undefined : join(this.directory, name);
    } catch {
      return undefined; // The plugin makes the directory with its first line.
    }
  }

  private more(file: string): string {
    const handle = openSync(file, "r");
    try {
      const bytes = Buffer.alloc(fstatSync(handle).size - this.offset);
      this.offset += readSync(handle, bytes, 0, bytes.length, this.offset);
      return bytes.toString();
    } finally {
      closeSync(handle);
    }
  }

  private learn(record: TraceRecord): void {
    if (record.kind === "task" && record.after !== undefined) {
      this.tasks.set(record.taskID, { title: record.title, ...record.after });
    }
    if (record.kind === "goal") {
      this.goal = record.to;
      this.goalRecord = record;
    }
    if (record.kind === "start") this.rootBusy = false;
    if (record.kind !== "host" || record.event.sessionID !== this.rootID) return;
    if (record.event.type === "session-busy") this.rootBusy = true;
    if (record.event.type === "session-idle") this.rootBusy = false;
  }
}
