import { type TraceRecord, traceRecord } from "./schema.ts";

/** What was read of a trace. */
export interface ReadTrace {
  readonly records: readonly TraceRecord[];
  /** Lines that are no JSON: cut off by a crash or a full disk. */
  readonly torn: number;
  /** JSON that is no record of this version. */
  readonly unknown: number;
}

/** Reads the lines of a trace file. Never throws: what cannot be read is counted. */
export function readTrace(text: string): ReadTrace {
  const records: TraceRecord[] = [];
  let torn = 0;
  let unknown = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const read = readLine(line);
    if (read.kind === "record") records.push(read.record);
    else if (read.kind === "torn") torn++;
    else unknown++;
  }
  return { records, torn, unknown };
}

/** Reads one line, for a reader that follows a trace while it grows. */
export function readLine(
  line: string,
): { readonly kind: "record"; readonly record: TraceRecord } | { readonly kind: "torn" | "unknown" } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: "torn" };
  }
  const parsed = traceRecord.safeParse(value);
  return parsed.success ? { kind: "record", record: parsed.data } : { kind: "unknown" };
}
