// npm run soak -- [times] [--loaded] [part of a scenario's name]
//
// Repeats the end-to-end tests of `opencode run` and `goalkeeper run`, each `times` times (20), two at a time, and prints
// how often each has passed and how long it took. Several parts are parted by |. With --loaded as often again, while a busy
// process works on every core.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Outcome, readReport, Tally, tableOf } from "./soak-tally.ts";

const USAGE = "npm run soak -- [times] [--loaded] [part of a scenario's name]";
const ROOT = join(import.meta.dir, "..");
const E2E = join(ROOT, "test/e2e");
/** More of them at once than there are cores would only wait for each other. */
const AT_ONCE = 2;
/** Beside busy processes everything takes several times as long. */
const SCENARIO_TIMEOUT_MS = 180_000;

const { times, loaded, part } = readArguments();
const files = readdirSync(E2E).filter((name) => /^(goalkeeper-)?run.*\.test\.ts$/.test(name));
const scratch = mkdtempSync(join(tmpdir(), "goalkeeper-soak-"));
/** Processes of ours that live. */
const owned = new Set<ChildProcess>();
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => {
    for (const child of owned) end(child);
    console.log(`\nStopped.\n${tableOf(tallies)}\n${kept()}`);
    process.exit(code);
  });
}

const tallies = new Map<string, Tally>();
for (const condition of loaded ? ["quiet", "loaded"] : ["quiet"]) await soak(condition);

console.log(`\n${tableOf(tallies)}\n\n${AT_ONCE} scenarios at a time, on ${availableParallelism()} cores.`);
console.log(kept());
process.exitCode = [...tallies.values()].every(({ allPassed }) => allPassed) ? 0 : 1;

async function soak(condition: string): Promise<void> {
  const tally = new Tally();
  tallies.set(condition, tally);
  const busy = condition === "loaded" ? Array.from({ length: availableParallelism() }, keepBusy) : [];
  try {
    for (let round = 1; round <= times; round++) {
      const startedAt = Date.now();
      const { outcomes, output, code, isReported } = await runOnce(join(scratch, `${condition}-${round}`));
      if (outcomes.length === 0 && isReported) return nothingNamed();
      tally.add(outcomes);
      const failed = outcomes.filter(({ passed }) => !passed).map(({ scenario }) => scenario);
      const seconds = ((Date.now() - startedAt) / 1_000).toFixed(0);
      console.log(`${condition} ${round}/${times}: ${outcomes.length - failed.length} passed in ${seconds} s`);
      if (code === 0) continue;
      const file = join(scratch, `${condition}-${round}.txt`);
      writeFileSync(file, output);
      for (const what of failed.length > 0 ? failed : [`bun test ended with ${code}`]) console.log(`  FAILED ${what}`);
      console.log(`  ${file}`);
    }
  } finally {
    for (const child of busy) end(child);
  }
}

interface Round {
  readonly outcomes: readonly Outcome[];
  readonly output: string;
  readonly code: number | NodeJS.Signals;
  readonly isReported: boolean;
}

/** Every scenario once, in a process and a temporary directory of their own: a killed OpenCode leaves files behind. */
async function runOnce(place: string): Promise<Round> {
  mkdirSync(place);
  const report = join(place, "report.xml");
  const args = [
    "test",
    `--timeout=${SCENARIO_TIMEOUT_MS}`,
    `--max-concurrency=${AT_ONCE}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...(part === undefined ? [] : ["-t", part.replace(/[^\w\s|]/g, "\\$&")]),
    ...files.map((name) => `./test/e2e/${name}`),
  ];
  const env = { ...process.env, TMPDIR: place, NO_COLOR: "1", FORCE_COLOR: "0" };
  const child = spawn(process.execPath, args, { cwd: ROOT, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  owned.add(child);
  let output = "";
  const take = (chunk: string) => {
    output += chunk;
  };
  child.stdout.setEncoding("utf8").on("data", take);
  child.stderr.setEncoding("utf8").on("data", take);
  const code = await new Promise<number | NodeJS.Signals>((resolve) => {
    child.on("error", (error) => take(error.message));
    child.on("close", (exit, signal) => resolve(exit ?? signal ?? 1));
  });
  owned.delete(child);
  const isReported = existsSync(report);
  const outcomes = isReported ? readReport(readFileSync(report, "utf8")) : [];
  rmSync(place, { recursive: true, force: true });
  return { outcomes, output, code, isReported };
}

/** A process that does nothing but work, for as long as we live. */
function keepBusy(): ChildProcess {
  const work = "const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e7; i++);";
  const child = spawn(process.execPath, ["-e", work], { detached: true, stdio: "ignore" });
  owned.add(child);
  return child;
}

/** With all that it has started: it leads a group of its own. */
function end(child: ChildProcess): void {
  owned.delete(child);
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Leaves nothing behind but the output of what has failed, and says where that is. */
function kept(): string {
  const names = readdirSync(scratch);
  for (const name of names) if (!name.endsWith(".txt")) rmSync(join(scratch, name), { recursive: true, force: true });
  if (names.some((name) => name.endsWith(".txt"))) return `What has failed left its output in ${scratch}.`;
  rmSync(scratch, { recursive: true, force: true });
  return "";
}

function nothingNamed(): never {
  kept();
  return fail(`No scenario's name holds "${part}".`);
}

function readArguments(): { readonly times: number; readonly loaded: boolean; readonly part: string | undefined } {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { loaded: { type: "boolean" } } });
    const [first, ...rest] = positionals;
    const isCount = first !== undefined && /^\d+$/.test(first);
    const times = isCount ? Number(first) : 20;
    const part = (isCount ? rest : positionals).join(" ");
    if (times === 0) fail("0 times is none.");
    return { times, loaded: values.loaded === true, part: part === "" ? undefined : part };
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}
