// npm test [-- <stage> …] [<part of a test file's path> …] [options of bun test, e.g. -t "name"]
//
// Runs the stages in order and prints what failed. The last line is `N passed, N failed`; types, lint and build count as
// one each, tests as bun's junit report counts them.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { bun, root, setup } from "./setup.mjs";

const MINUTE = 60_000;
const START_TIME = "GOALKEEPER_TEST_START_MS";
/** On two free cores it is between two and five seconds. */
const SLOW_START_MS = 10_000;
const tsc = join(root, "node_modules/typescript/bin/tsc");
const biome = join(root, "node_modules/@biomejs/biome/bin/biome");

const checks = {
  types: [
    [bun, [tsc, "-p", "tsconfig.src.json", "--noEmit", "--pretty", "false"]],
    [bun, [tsc, "-p", "tsconfig.json", "--pretty", "false"]],
  ],
  lint: [[process.execPath, [biome, "check", "--error-on-warnings", "--max-diagnostics=50", "--colors=off"]]],
  build: [[bun, ["scripts/build.ts", "--quiet"]]],
};

const suites = {
  unit: { holds: (file) => !["e2e", "model", "testing"].includes(folderOf(file)), limit: 5 * MINUTE },
  property: {
    holds: (file) => folderOf(file) === "model",
    limit: 30 * MINUTE,
    inLanes: true,
    // A test of a real OpenCode waits a good part of its time: these take what is left, and no more.
    beside: () => stages.includes("e2e"),
    // Of these the size of the file says nothing.
    longest: ["owed.test.ts", "pursuit.test.ts", "chaos.test.ts", "replay.test.ts"],
  },
  // These start real OpenCode processes: slow, and worth watching.
  e2e: {
    holds: (file) => ["e2e", "testing"].includes(folderOf(file)),
    limit: 90 * MINUTE,
    inLanes: true,
    // More than these are no accident.
    mostAgain: 3,
    // What openStages opens is in an OpenCode that the files of one process share: see test/e2e/stage.ts.
    // restart.test kills OpenCode over and over, and some of it failed in one that other files had used: why is not known.
    shares: (path) =>
      /\bopenStages\(/.test(readFileSync(join(root, path), "utf8")) && basename(path) !== "restart.test.ts",
    // More sessions at once than this only wait for each other in one OpenCode on two cores. Each `opencode run` is a
    // process of its own, and more than two of them come too late for the moments that they are about.
    atOnce: (path) => (/\/run[^/]*\.test\.ts$/.test(path) ? 2 : 4) / (isSlow() ? 2 : 1),
    watch: true,
  },
};

const order = [...Object.keys(checks), ...Object.keys(suites)];
const { stages, filters, options } = readArguments(process.argv.slice(2));
const byName = options.some((option) => /^(-t|--test-name-pattern)/.test(option));

setup();

const scratch = realpathSync(mkdtempSync(join(tmpdir(), "goalkeeper-test-")));
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(signal === "SIGINT" ? 130 : 143));
// npm passes a SIGTERM on to its shell, which keeps it to itself.
const parent = process.ppid;
if (process.env.npm_lifecycle_event === "test") setInterval(() => process.ppid !== parent && stop(143), 500).unref();

function stop(code) {
  for (const child of running) kill(child);
  sweep();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
  process.exit(code);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const failedStages = new Set();
const startedAt = Date.now();

try {
  for (const stage of stages) {
    if (stage in checks) take(stage, await runCheck(stage));
    else if (!suites[stage].beside?.()) await Promise.all([...companionsOf(stage), stage].map(runAndTake));
  }
} finally {
  sweep();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
}

const ranNothing = total.passed + total.failed === 0;
if (ranNothing || total.failed > 0) process.exitCode = 1;
const verdict = failedStages.size > 0 ? `failed: ${[...failedStages].join(", ")}` : "everything passed";
console.log(`\n${ranNothing ? "nothing was run" : verdict} (${since(startedAt)})`);
console.log(summary(total));

/** The stages that fill what a stage leaves of the cores. */
function companionsOf(stage) {
  return stage === "e2e" ? stages.filter((other) => suites[other]?.beside?.()) : [];
}

async function runAndTake(stage) {
  take(stage, await runSuite(stage));
}

function take(stage, result) {
  for (const key of Object.keys(total)) total[key] += result[key];
  if (result.failed > 0) failedStages.add(stage);
}

/** Words that name a stage choose stages; the first option of bun test ends our own arguments. */
function readArguments(args) {
  const firstOption = args.findIndex((arg) => arg.startsWith("-"));
  const words = firstOption < 0 ? args : args.slice(0, firstOption);
  const options = firstOption < 0 ? [] : args.slice(firstOption);
  const chosen = words.filter((word) => order.includes(word));
  const filters = words.filter((word) => !order.includes(word));
  // Looking for certain tests is no wish for the checks; the e2e tests load what the build makes.
  if (chosen.length === 0) chosen.push(...(filters.length > 0 || options.length > 0 ? Object.keys(suites) : order));
  const needsBuild = chosen.includes("e2e") && files("e2e", filters).length > 0;
  return {
    stages: order.filter((stage) => chosen.includes(stage) || (stage === "build" && needsBuild)),
    filters,
    options,
  };
}

async function runCheck(stage) {
  begin(stage);
  const startedAt = Date.now();
  const results = await Promise.all(
    checks[stage].map(([command, args]) => execute(command, args, { limit: 5 * MINUTE })),
  );
  const bad = results.filter(({ code }) => code !== 0);
  end(bad.length === 0 ? "passed" : "FAILED", startedAt);
  for (const output of new Set(bad.map(({ output }) => output.trim()))) console.log(`${output}\n`);
  return { passed: bad.length === 0 ? 1 : 0, failed: bad.length === 0 ? 0 : 1, skipped: 0 };
}

async function runSuite(stage) {
  const suite = suites[stage];
  const paths = files(stage, filters);
  const beside = suite.beside?.() === true;
  if (!beside || paths.length === 0) begin(stage);
  if (paths.length === 0) {
    end(filters.length > 0 ? "none match" : "none yet");
    return { passed: 0, failed: 0, skipped: 0 };
  }
  if (stage === "e2e" && failedStages.has("build")) {
    end("FAILED: not run, because the build failed");
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const startedAt = Date.now();
  if (stage === "e2e") {
    const problem = await measureStart();
    if (problem !== undefined) {
      end("FAILED: OpenCode does not start");
      console.log(problem);
      return { passed: 0, failed: 1, skipped: 0 };
    }
  }
  if (suite.watch) {
    const count = `${paths.length} ${paths.length === 1 ? "file" : "files"}`;
    console.log(`${count}, ${lanesHere()} at once: one start of OpenCode takes ${process.env[START_TIME] / 1000} s`);
  }
  const results = suite.inLanes ? await runInLanes(stage, paths) : [await runFiles(stage, paths)];
  const second = suite.mostAgain === undefined ? [] : await runAgain(stage, results);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const result of results) for (const key of Object.keys(counts)) counts[key] += result.counts[key];
  if (suite.watch || beside) begin(stage);
  end(counts.passed + counts.failed + counts.skipped === 0 ? "none match" : summary(counts), startedAt);
  for (const { counts, output } of results) if (counts.failed > 0) console.log(`${failures(output)}\n`);
  for (const { problems } of results) for (const problem of problems) console.log(`${stage}: ${problem}`);
  for (const { path, output } of second)
    console.log(`${output}\n\n${stage}: ${path} passed at its second run only: see above what failed in the first one`);
  return counts;
}

/**
 * A real OpenCode beside others on a busy machine may come too late for a test. The few files that have failed run once
 * more, alone: what fails again has failed, and what passes is named together with what had failed.
 */
async function runAgain(stage, results) {
  const failed = results.flatMap((result) =>
    [...result.failedFiles].map(([path, counts]) => ({ path, counts, result })),
  );
  if (failed.length > suites[stage].mostAgain) return [];
  const passed = [];
  for (const { path, counts, result } of failed) {
    const again = await runFiles(stage, [path]);
    if (again.counts.failed > 0) continue;
    passed.push({ path, output: failures(result.output) });
    for (const key of Object.keys(counts)) result.counts[key] += again.counts[key] - counts[key];
  }
  return passed;
}

/**
 * Each file by itself, or the files that share an OpenCode in one process for each lane. The long ones first: a lane that
 * is left alone waits for one.
 */
async function runInLanes(stage, paths) {
  const { longest = [], shares = () => false } = suites[stage];
  const rank = (path) => (longest.includes(basename(path)) ? longest.indexOf(basename(path)) : longest.length);
  const size = (path) => statSync(join(root, path)).size;
  const sorted = [...paths].sort((one, other) => rank(one) - rank(other) || size(other) - size(one));
  const lanes = lanesHere();
  const sharing = Array.from({ length: lanes }, () => ({ files: [], bytes: 0 }));
  for (const path of sorted.filter(shares)) {
    const emptiest = sharing.reduce((least, one) => (one.bytes < least.bytes ? one : least));
    emptiest.files.push(path);
    emptiest.bytes += size(path);
  }
  const left = [
    ...sharing.map(({ files }) => files).filter((files) => files.length > 0),
    ...sorted.filter((path) => !shares(path)).map((path) => [path]),
  ];
  const results = [];
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) results.push(await runFiles(stage, next));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

/** Both stages are bound by the cores. Where a start takes very long, others take them already. */
function lanesHere() {
  return isSlow() ? 1 : Math.min(availableParallelism(), 4);
}

function isSlow() {
  return Number(process.env[START_TIME] ?? 0) > SLOW_START_MS;
}

async function runFiles(stage, paths) {
  const suite = suites[stage];
  const report = join(scratch, `${stage}-${basename(paths[0])}.xml`);
  // bun's own five seconds are too few for a property, and on a busy machine for anything. What starts OpenCode knows its
  // own limit (test/e2e/limits.ts), but can set it only for the first of several files.
  const timeout = Math.max(MINUTE, 90 * Number(process.env[START_TIME] ?? 0));
  const args = ["test", `--timeout=${timeout}`, "--reporter=junit", `--reporter-outfile=${report}`];
  if (suite.shares?.(paths[0])) args.push("--preload=./test/e2e/keep-opencode.ts");
  if (suite.atOnce !== undefined) args.push(`--max-concurrency=${suite.atOnce(paths[0])}`);
  const startedAt = Date.now();
  const onLine = suite.watch ? (line) => /^\((pass|fail|skip)\) /.test(line) && console.log(`  ${line}`) : undefined;
  const command = [bun, ...args, ...options, ...paths];
  if (suite.beside?.() && process.platform !== "win32") command.unshift("nice", "-n", "19");
  const run = await execute(command[0], command.slice(1), { limit: suite.limit, onLine });
  if (suite.watch) console.log(`  ${paths.join(" ")} (${since(startedAt)})`);
  return { ...count(report, run, paths), output: run.output };
}

/** Every limit of these tests is a multiple of it: see test/e2e/limits.ts. */
async function measureStart() {
  const { code, output } = await execute(bun, ["scripts/start-time.ts"], { limit: 5 * MINUTE });
  if (code !== 0) return output.trim();
  process.env[START_TIME] = output.trim();
}

/** The report says nothing about a file that could not be loaded or a process that died: those count as failed too. */
function count(report, run, paths) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const byFile = new Map(paths.map((path) => [path, { passed: 0, failed: 0, skipped: 0 }]));
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  for (const [all, body = ""] of xml.matchAll(/<testcase\b(?:[^>"]|"[^"]*")*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const key = /<(failure|error)\b/.test(body) ? "failed" : /<skipped\b/.test(body) ? "skipped" : "passed";
    counts[key]++;
    const file = byFile.get(`./${/ file="([^"]*)"/.exec(all)?.[1]}`);
    if (file !== undefined) file[key]++;
  }
  const failedFiles = [...byFile].filter(([, { failed }]) => failed > 0);
  const ran = counts.passed + counts.failed;
  // With -t, bun reports all other tests as skipped, and ends with an error if there are no others.
  const silent = paths.filter((path) => !xml.includes(`file="${path.replace("./", "")}"`));
  const noneNamed = byName && ran === 0 && silent.length === 0;
  if (byName) counts.skipped = 0;
  if ((run.code === 0 && silent.length === 0) || noneNamed) return { counts, failedFiles, problems: [] };

  const problems = silent.map((path) => `${path} did not run to its end`);
  if (run.reason !== undefined) problems.push(run.reason);
  if (problems.length === 0 && counts.failed === 0) problems.push(`bun test ended with ${run.code}`);
  counts.failed += problems.length;
  return { counts, failedFiles, problems };
}

/** bun's own output, without the passed tests and the totals that we print ourselves. */
function failures(output) {
  return output
    .replace(/^\((pass|skip|todo)\) .*\n/gm, "")
    .replace(/^bun test v.*\n/gm, "")
    .replace(/^(\S+\.test\.tsx?:\n\s*)+(?=\S+\.test\.tsx?:\n)/gm, "")
    .replace(/\n \d+ pass\n[\s\S]*$/, "")
    .trim();
}

function files(stage, wanted) {
  const folder = join(root, "test");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => `./test/${name.replaceAll("\\", "/")}`)
    .filter((file) => /\.test\.tsx?$/.test(file) && suites[stage].holds(file))
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .sort();
}

/** `./test/e2e/x.test.ts` → `e2e`; "" for a file directly in test/. */
function folderOf(file) {
  const parts = file.split("/");
  return parts.length > 3 ? parts[2] : "";
}

/** A temporary directory of its own for each run, because killed OpenCode processes leave files of 5–14 MB behind. */
function execute(command, args, { limit, onLine }) {
  const temporary = join(scratch, "tmp");
  mkdirSync(temporary, { recursive: true });
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32",
      env: { ...process.env, TMPDIR: temporary, NO_COLOR: "1", FORCE_COLOR: "0" },
    });
    running.add(child);
    let output = "";
    let pending = "";
    let reason;
    const timer = setTimeout(() => {
      reason = `${basename(command)} was stopped after ${limit / MINUTE} minutes`;
      kill(child);
    }, limit);
    const take = (chunk) => {
      output += chunk;
      if (onLine === undefined) return;
      const lines = (pending + chunk).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const done = (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, output: reason === undefined ? output : `${output}\n${reason}`, reason });
    };
    child.on("error", (error) => {
      output += error.message;
      done(1);
    });
    child.on("close", (code, signal) => done(code ?? signal ?? 1));
  });
}

function kill(child) {
  if (child?.pid === undefined || child.exitCode !== null) return;
  try {
    if (process.platform === "win32") child.kill();
    else process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/**
 * What OpenCode has started is in process groups of its own, and a test process that was killed has ended nothing. All of
 * it has our directory in its environment; Linux shows that.
 */
function sweep() {
  if (process.platform !== "linux") return;
  for (let look = 0, found = 1; found > 0 && look < 100; look++) {
    found = 0;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(scratch)) continue;
        process.kill(Number(pid), "SIGKILL");
        found++;
      } catch {
        // Another user's, or it has just ended.
      }
    }
  }
}

function begin(stage) {
  process.stdout.write(stage.padEnd(10));
}

function end(text, startedAt) {
  console.log(startedAt === undefined ? text : `${text.padEnd(32)} ${since(startedAt)}`);
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function since(startedAt) {
  return `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
}
