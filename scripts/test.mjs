// npm test [-- <stage> …] [<part of a test file's path> …] [options of bun test, e.g. -t "name"]
//
// Runs the stages in order and prints what failed. The last line is `N passed, N failed`; types, lint and build count as
// one each, tests as bun's junit report counts them.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { bun, root, setup } from "./setup.mjs";

const MINUTE = 60_000;
const START_TIME = "GOALKEEPER_TEST_START_MS";
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
    limit: 15 * MINUTE,
    lanes: 2,
    // Of these the size of the file says nothing.
    longest: ["owed.test.ts", "pursuit.test.ts", "chaos.test.ts", "replay.test.ts"],
  },
  // These start real OpenCode processes: slow, and worth watching. Much of their time is waiting, so two files run at once.
  e2e: {
    holds: (file) => ["e2e", "testing"].includes(folderOf(file)),
    limit: 30 * MINUTE,
    lanes: 2,
    // More sessions at once than this only wait for each other in one OpenCode on two cores. Each `opencode run` is a
    // process of its own, and more than two of them come too late for the moments that they are about.
    atOnce: (path) => (/\/run[^/]*\.test\.ts$/.test(path) ? 2 : 4),
    watch: true,
  },
};

const order = [...Object.keys(checks), ...Object.keys(suites)];
const { stages, filters, options } = readArguments(process.argv.slice(2));
const byName = options.some((option) => /^(-t|--test-name-pattern)/.test(option));

setup();

const scratch = mkdtempSync(join(tmpdir(), "goalkeeper-test-"));
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const child of running) kill(child);
    rmSync(scratch, { recursive: true, force: true });
    process.exit(signal === "SIGINT" ? 130 : 143);
  });
}

const total = { passed: 0, failed: 0, skipped: 0 };
const failedStages = new Set();
const startedAt = Date.now();

try {
  for (const stage of stages) {
    const result = stage in checks ? await runCheck(stage) : await runSuite(stage);
    for (const key of Object.keys(total)) total[key] += result[key];
    if (result.failed > 0) failedStages.add(stage);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const ranNothing = total.passed + total.failed === 0;
if (ranNothing || total.failed > 0) process.exitCode = 1;
const verdict = failedStages.size > 0 ? `failed: ${[...failedStages].join(", ")}` : "everything passed";
console.log(`\n${ranNothing ? "nothing was run" : verdict} (${since(startedAt)})`);
console.log(summary(total));

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
  begin(stage);
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
  if (suite.watch) process.stdout.write(`${paths.length} ${paths.length === 1 ? "file" : "files"}\n`);
  const results = suite.lanes === undefined ? [await runFiles(stage, paths)] : await runInLanes(stage, paths);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const result of results) for (const key of Object.keys(counts)) counts[key] += result.counts[key];
  if (suite.watch) begin(stage);
  end(counts.passed + counts.failed + counts.skipped === 0 ? "none match" : summary(counts), startedAt);
  for (const { counts, output } of results) if (counts.failed > 0) console.log(`${failures(output)}\n`);
  for (const { problems } of results) for (const problem of problems) console.log(`${stage}: ${problem}`);
  return counts;
}

/** Each file by itself, as many at once as there are lanes. The long ones first: a lane that is left alone waits for one. */
async function runInLanes(stage, paths) {
  const { longest = [] } = suites[stage];
  const rank = (path) => (longest.includes(basename(path)) ? longest.indexOf(basename(path)) : longest.length);
  const size = (path) => statSync(join(root, path)).size;
  const left = [...paths].sort((one, other) => rank(one) - rank(other) || size(other) - size(one));
  const results = [];
  const lane = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) results.push(await runFiles(stage, [path]));
  };
  await Promise.all(Array.from({ length: suites[stage].lanes }, lane));
  return results;
}

async function runFiles(stage, paths) {
  const suite = suites[stage];
  const report = join(scratch, `${stage}-${basename(paths[0])}.xml`);
  // bun's own five seconds are too few for a property, and on a busy machine for anything.
  const args = ["test", `--timeout=${MINUTE}`, "--reporter=junit", `--reporter-outfile=${report}`];
  if (suite.atOnce !== undefined) args.push(`--max-concurrency=${suite.atOnce(paths[0])}`);
  const startedAt = Date.now();
  const onLine = suite.watch ? (line) => /^\((pass|fail|skip)\) /.test(line) && console.log(`  ${line}`) : undefined;
  const run = await execute(bun, [...args, ...options, ...paths], { limit: suite.limit, onLine });
  if (suite.watch) console.log(`  ${paths[0]} (${since(startedAt)})`);
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
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  for (const [, body = ""] of xml.matchAll(/<testcase\b(?:[^>"]|"[^"]*")*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (/<skipped\b/.test(body)) counts.skipped++;
    else counts.passed++;
  }
  const ran = counts.passed + counts.failed;
  // With -t, bun reports all other tests as skipped, and ends with an error if there are no others.
  const silent = paths.filter((path) => !xml.includes(`file="${path.replace("./", "")}"`));
  const noneNamed = byName && ran === 0 && silent.length === 0;
  if (byName) counts.skipped = 0;
  if ((run.code === 0 && silent.length === 0) || noneNamed) return { counts, problems: [] };

  const problems = silent.map((path) => `${path} did not run to its end`);
  if (run.reason !== undefined) problems.push(run.reason);
  if (problems.length === 0 && counts.failed === 0) problems.push(`bun test ended with ${run.code}`);
  counts.failed += problems.length;
  return { counts, problems };
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
