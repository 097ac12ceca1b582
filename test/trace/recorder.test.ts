import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Observation } from "../../src/keeper/messages.ts";
import { openTrace } from "../../src/trace/open.ts";
import { readTrace } from "../../src/trace/read.ts";
import { createRecorder, defaultTraceDirectory, traceFileName } from "../../src/trace/recorder.ts";
import type { TraceRecord } from "../../src/trace/schema.ts";
import { effect, host, input, ManualClock, message, missing, ROOT, running, SECRET, task } from "./fixtures.ts";

let scratch: string;
let clock: ManualClock;
let logged: string[];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "trace-test-"));
  clock = new ManualClock();
  logged = [];
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function recorder(directory = join(scratch, "deep", "traces")) {
  return createRecorder({ directory, clock, withText: false, log: (level, said) => logged.push(`${level} ${said}`) });
}

function read(file = join(scratch, "deep", "traces", `${ROOT}.jsonl`)) {
  return readTrace(readFileSync(file, "utf8"));
}

const busy = (sessionID = ROOT) => host({ type: "session-busy", sessionID }, sessionID);
const idle = (sessionID = ROOT) => host({ type: "session-idle", sessionID }, sessionID);
const outbox = (state: string, rootID = ROOT): Observation => ({ type: "outbox", rootID, state, message });

test("each root has a file of its own: directory 0700, file 0600, one JSON object per line, in order", () => {
  const trace = recorder();
  trace.observe(busy());
  trace.observe(outbox("reserved"));
  trace.observe(busy("ses_other"));
  trace.close();
  const directory = join(scratch, "deep", "traces");
  expect(readdirSync(directory).sort()).toEqual(["ses_other.jsonl", `${ROOT}.jsonl`]);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, `${ROOT}.jsonl`)).mode & 0o777).toBe(0o600);
  const { records, torn, unknown } = read();
  expect(records.map(({ kind, seq }) => `${seq} ${kind}`)).toEqual(["1 start", "2 host", "3 outbox", "4 stop"]);
  expect({ torn, unknown }).toEqual({ torn: 0, unknown: 0 });
});

test("what was observed is on disk when the process is killed in the next moment", () => {
  const program = `
    import { createRecorder } from ${JSON.stringify(join(import.meta.dir, "../../src/trace/recorder.ts"))};
    const clock = { now: () => Date.now(), after: () => () => undefined };
    const trace = createRecorder({ directory: process.argv[1], clock, withText: false, log: () => undefined });
    for (let i = 0; i < 100; i++) trace.observe({ type: "outbox", rootID: "${ROOT}", state: "s" + i, message: undefined });
    process.kill(process.pid, "SIGKILL");`;
  const { signal } = spawnSync(process.execPath, ["-e", program, scratch]);
  expect(signal).toBe("SIGKILL");
  const { records, torn } = read(join(scratch, `${ROOT}.jsonl`));
  expect(records.at(-1)).toMatchObject({ kind: "outbox", state: "s99" });
  expect({ lines: records.length, torn }).toEqual({ lines: 101, torn: 0 });
});

test("an event that only repeats the last one about the same thing is a short line that names it", () => {
  const trace = recorder();
  const seen = (title: string) =>
    host({
      type: "session-seen",
      session: { id: ROOT, title, createdAt: 1, archived: false, metadata: {} },
      created: false,
    });
  for (const observation of [busy(), seen("a"), busy(), idle(), seen("a"), idle(), busy(), seen("longer"), busy()])
    trace.observe(observation);
  trace.observe(task(missing, running));
  const said = (record: TraceRecord) => {
    if (record.kind === "again") return `as ${record.of}`;
    return record.kind === "host" ? record.event.type : record.kind;
  };
  expect(read().records.map((record) => `${record.seq} ${said(record)}`)).toEqual([
    "1 start",
    "2 session-busy",
    "3 session-seen",
    "4 as 2",
    "5 session-idle",
    "6 as 3",
    "7 as 5",
    "8 session-busy",
    "9 session-seen",
    "10 as 8",
    "11 task",
  ]);
});

test("an input for everybody is written to the roots that it moved, once each, and to no other", () => {
  const trace = recorder();
  trace.observe(busy("ses_quiet"));
  trace.observe({ type: "input", rootID: undefined, input: { type: "clock" } });
  trace.observe({ type: "effect", rootID: undefined, effect: { type: "ask-statuses" } });
  trace.observe({ type: "input", rootID: undefined, input: { type: "clock" } });
  trace.observe(task(running, missing, "clock"));
  trace.observe(outbox("reserved"));
  expect(read().records.map(({ kind }) => kind)).toEqual(["start", "input", "task", "outbox"]);
  expect(read(join(scratch, "deep", "traces", "ses_quiet.jsonl")).records.length).toBe(2);
});

test("effects and their answers are in the trace", () => {
  const trace = recorder();
  const about = { sessionID: ROOT, messageID: "msg_1" };
  const prompt = { ...about, partID: "prt_1", text: SECRET, voice: undefined, synthetic: true };
  trace.observe(effect({ type: "send", rootID: ROOT, prompt }));
  trace.observe(input({ type: "sent", rootID: ROOT, ...about, answer: { kind: "known", value: undefined } }));
  expect(read().records.slice(1)).toMatchObject([
    { effect: { type: "send", text: SECRET.length } },
    { input: { type: "sent", answer: "known" } },
  ]);
});

test.each([
  "../../escape",
  "/etc/passwd",
  "ses_../x",
  "",
  "ses_",
  "ses_é",
  `ses_${"a".repeat(500)}`,
  "ses_a\nb",
  "ses_a/../../b",
])("the session id %j never becomes a path", (id) => {
  expect(traceFileName(id)).toMatch(/^hashed-[0-9a-f]{32}\.jsonl$/);
  const trace = recorder(join(scratch, "a", "b"));
  trace.observe(outbox("reserved", id));
  expect(readdirSync(join(scratch, "a", "b"))).toEqual([traceFileName(id)]);
  expect(readdirSync(join(scratch, "a"))).toEqual(["b"]);
  expect(read(join(scratch, "a", "b", traceFileName(id))).records[0]?.root).toBe(id);
});

/** A directory on a disk of its own that is nearly full. Undefined where mounting is not permitted. */
function tinyDisk(): { directory: string; free: () => void; unmount: () => void } | undefined {
  const directory = join(scratch, "disk");
  mkdirSync(directory);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", directory]).status !== 0) return undefined;
  const ballast = join(directory, "ballast");
  writeFileSync(ballast, Buffer.alloc(56 * 1024));
  return { directory, free: () => unlinkSync(ballast), unmount: () => spawnSync("umount", ["-l", directory]) };
}

test("a full disk costs one log line; when there is room again the trace goes on and says what is missing", () => {
  const disk = tinyDisk();
  if (disk === undefined) return console.log("skipped: mounting a small disk is not permitted here");
  try {
    const trace = recorder(disk.directory);
    const file = join(disk.directory, `${ROOT}.jsonl`);
    for (let i = 0; i < 200; i++) trace.observe(outbox(`before-${i}`));
    expect(logged).toEqual([
      "warn The trace cannot be written (ENOSPC). The goal goes on without it; later lines are tried again.",
    ]);
    disk.free();
    trace.observe(outbox("too early"));
    const before = read(file);
    clock.at += 60_000;
    trace.observe(outbox("after"));
    const { records, torn } = read(file);
    const [gap, last] = records.slice(-2);
    expect(last).toMatchObject({ kind: "outbox", state: "after" });
    // 1 start + 200 + 1: what is not there is what the gap says.
    expect(gap).toMatchObject({ kind: "gap", dropped: 202 - before.records.length });
    expect(records.length).toBe(before.records.length + 2);
    expect(torn).toBeLessThanOrEqual(1);
    expect(logged.length).toBe(1);
  } finally {
    disk.unmount();
  }
});

test("a device that refuses every write costs one log line and no exception", () => {
  if (!existsSync("/dev/full")) return;
  symlinkSync("/dev/full", join(scratch, `${ROOT}.jsonl`));
  const trace = recorder(scratch);
  for (let i = 0; i < 50; i++) {
    clock.at += 10_000;
    trace.observe(outbox(`${i}`));
  }
  trace.close();
  expect(logged).toEqual([
    "warn The trace cannot be written (ENOSPC). The goal goes on without it; later lines are tried again.",
  ]);
});

test("a directory that cannot be made costs one log line, for all roots together", () => {
  writeFileSync(join(scratch, "deep"), "a file");
  const trace = recorder();
  trace.observe(outbox("reserved"));
  trace.observe(outbox("reserved", "ses_other"));
  expect(logged).toEqual([
    "warn The trace cannot be written (ENOTDIR). The goal goes on without it; later lines are tried again.",
  ]);
});

test("while writing fails it is tried again ever more rarely, so that a dead disk costs nothing", () => {
  const directory = join(scratch, "deep");
  writeFileSync(directory, "a file");
  const trace = recorder(directory);
  trace.observe(outbox("1"));
  rmSync(directory);
  clock.at += 900;
  trace.observe(outbox("2"));
  expect(existsSync(directory)).toBe(false);
  clock.at += 60_000;
  trace.observe(outbox("3"));
  expect(read(join(directory, `${ROOT}.jsonl`)).records).toMatchObject([{ kind: "gap", dropped: 3 }, { state: "3" }]);
});

test("a line that a crash has cut off does not spoil the next one", () => {
  writeFileSync(join(scratch, `${ROOT}.jsonl`), '{"at":1,"seq":1,"ki');
  recorder(scratch).observe(outbox("reserved"));
  const { records, torn } = read(join(scratch, `${ROOT}.jsonl`));
  expect({ kinds: records.map(({ kind }) => kind), torn }).toEqual({ kinds: ["start", "outbox"], torn: 1 });
});

test("a trace that is removed or whose directory is removed while it is written begins anew", () => {
  const trace = recorder();
  trace.observe(outbox("1"));
  rmSync(join(scratch, "deep"), { recursive: true });
  trace.observe(outbox("2"));
  expect(read().records).toMatchObject([{ kind: "outbox", state: "2" }]);
});

test("a pipe in place of the file never blocks", () => {
  if (spawnSync("mkfifo", [join(scratch, `${ROOT}.jsonl`)]).status !== 0) return;
  const trace = recorder(scratch);
  for (let i = 0; i < 2_000; i++) {
    clock.at += 60_000;
    trace.observe(outbox(`${i}`));
  }
});

test("an observation from nowhere never throws into the caller", () => {
  const trace = recorder();
  trace.observe({ type: "task", rootID: ROOT, change: {} } as never);
  trace.observe({ type: "goal" } as never);
  trace.observe(undefined as never);
  expect(logged.length).toBe(1);
});

test("after its close it writes nothing", () => {
  const trace = recorder();
  trace.observe(outbox("1"));
  trace.close();
  trace.close();
  trace.observe(outbox("2"));
  expect(read().records.map(({ kind }) => kind)).toEqual(["start", "outbox", "stop"]);
});

test("what was dropped of the host's events is counted by type in the last line of each file", () => {
  const trace = recorder();
  trace.observe(busy());
  trace.observe(busy("ses_other"));
  for (const type of ["lsp.updated", "lsp.updated", "file.edited"]) trace.dropped?.("unused", type);
  trace.dropped?.("unread", "session.status");
  trace.close();
  const counts = { unused: { "lsp.updated": 2, "file.edited": 1 }, unread: { "session.status": 1 } };
  for (const rootID of [ROOT, "ses_other"])
    expect(read(join(scratch, "deep", "traces", `${rootID}.jsonl`)).records.at(-1)).toMatchObject(counts);
});

test("a deleted root's file holds what followed from the deletion", () => {
  const trace = recorder();
  trace.observe(host({ type: "session-deleted", sessionID: ROOT }));
  trace.observe(outbox("empty"));
  trace.observe(busy("ses_other"));
  trace.close();
  expect(read().records.map(({ kind }) => kind)).toEqual(["start", "host", "outbox"]);
});

test("when traces are off nothing is made", () => {
  const env = { XDG_STATE_HOME: scratch };
  const trace = openTrace({ debug_log: false, debug_log_text: false }, clock, { log: () => undefined }, env);
  trace.observe(busy());
  trace.close();
  expect(readdirSync(scratch)).toEqual([]);
});

test("debug_log true writes below the state directory, a path writes there", () => {
  const env = { XDG_STATE_HOME: scratch };
  const host = { log: () => undefined };
  openTrace({ debug_log: true, debug_log_text: false }, clock, host, env).observe(busy());
  openTrace({ debug_log: join(scratch, "own"), debug_log_text: false }, clock, host, env).observe(busy());
  expect(readdirSync(join(scratch, "opencode-goalkeeper", "traces"))).toEqual([`${ROOT}.jsonl`]);
  expect(readdirSync(join(scratch, "own"))).toEqual([`${ROOT}.jsonl`]);
});

test("a directory that exists keeps its mode; a relative XDG_STATE_HOME counts for nothing", () => {
  const directory = join(scratch, "mine");
  mkdirSync(directory);
  chmodSync(directory, 0o755);
  recorder(directory).observe(busy());
  expect(statSync(directory).mode & 0o777).toBe(0o755);
  expect(defaultTraceDirectory({ XDG_STATE_HOME: "relative" })).toMatch(
    /\/\.local\/state\/opencode-goalkeeper\/traces$/,
  );
});
