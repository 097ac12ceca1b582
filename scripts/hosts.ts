// npm run hosts -- [version …] [-t part of a test's name]
//
// Runs a selection of the end-to-end tests on other versions of OpenCode than the pinned one, one version after the other,
// and prints a table of what has passed. Versions that package.json's `engines.opencode` does not allow have to say so and
// pursue no goal. npm installs each version into the user's cache, once; nothing of this project is changed.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { versionProblem } from "../src/host/host-version.ts";
import { packagedBinary } from "../src/testing/opencode-binary.ts";
import { hostsTable, type VersionRun } from "./hosts-table.ts";
import { readReport } from "./soak-tally.ts";

const USAGE = "npm run hosts -- [version …] [-t part of a test's name]";
const ROOT = join(import.meta.dir, "..");
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "opencode-goalkeeper", "hosts");
/** Goals with tasks of both kinds, interrupts, editors, `opencode run`, and other plugins. */
const FILES = ["goal", "run", "editor", "neighbours"];
const ON_GOOD_HOSTS = [
  "(G1)",
  "(G2, D6)",
  "(G4)",
  "(G5, D9)",
  "a goal is pursued to its end in one process",
  "in an editor",
  "after the editor was killed",
  "another plugin with names of ours",
  "our plugin twice",
];
/** Of several files in one process only the first one can say so itself. */
const TEST_TIMEOUT_MS = 600_000;
const ON_OTHER_HOSTS = ["a host that is too old"];

const { versions, part } = readArguments();
const runs: VersionRun[] = [];
for (const version of versions) {
  console.log(`\n${version}`);
  const binary = await install(version);
  const problem = versionProblem(version);
  runs.push({ version, isAllowed: problem === undefined, ...(await test(version, binary, problem !== undefined)) });
}
console.log(`\n${hostsTable(runs)}`);
process.exitCode = runs.every(({ outcomes, code }) => code === 0 && outcomes.length > 0) ? 0 : 1;

/** Its own binary, as npm brings it. */
async function install(version: string): Promise<string> {
  const place = join(CACHE, version);
  mkdirSync(place, { recursive: true });
  const found = packagedBinary(place);
  if (found !== undefined) return found;
  console.log(`  installing into ${place}`);
  const args = ["install", "--prefix", place, "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const { code, output } = await execute("npm", [...args, `opencode-ai@${version}`], process.env);
  const binary = packagedBinary(place);
  if (code !== 0 || binary === undefined) return fail(`opencode-ai@${version} could not be installed:\n${output}`);
  return binary;
}

async function test(version: string, binary: string, isOther: boolean): Promise<Pick<VersionRun, "outcomes" | "code">> {
  const place = mkdtempSync(join(tmpdir(), "goalkeeper-hosts-"));
  const report = join(place, "report.xml");
  const files = (isOther ? ["neighbours"] : FILES).map((name) => `./test/e2e/${name}.test.ts`);
  const pattern = (part === undefined ? (isOther ? ON_OTHER_HOSTS : ON_GOOD_HOSTS) : [part]).map(literally).join("|");
  const args = ["test", `--timeout=${TEST_TIMEOUT_MS}`, "--max-concurrency=2", "--reporter=junit", "-t", pattern];
  const env = {
    ...process.env,
    TMPDIR: place,
    NO_COLOR: "1",
    FORCE_COLOR: "0",
    OPENCODE_BIN: binary,
    ...(isOther ? { GOALKEEPER_HOST_IS_OLD: version } : {}),
  };
  const startedAt = Date.now();
  const { code, output } = await execute(
    process.execPath,
    [...args, `--reporter-outfile=${report}`, ...files],
    env,
    (line) => {
      if (/^\((pass|fail)\) /.test(line)) console.log(`  ${line}`);
    },
  );
  const outcomes = existsSync(report) ? readReport(readFileSync(report, "utf8")) : [];
  rmSync(place, { recursive: true, force: true });
  if (code !== 0) console.log(output.split("\n").slice(-60).join("\n"));
  console.log(`  ${((Date.now() - startedAt) / 1_000).toFixed(0)} s`);
  return { outcomes, code };
}

function literally(name: string): string {
  return name.replace(/[^\w\s]/g, "\\$&");
}

function execute(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  onLine: (line: string) => void = () => undefined,
): Promise<{ code: number; output: string }> {
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => child.kill();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, stop);
  let output = "";
  let pending = "";
  const take = (chunk: string) => {
    output += chunk;
    const lines = (pending + chunk).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
  child.stdout.setEncoding("utf8").on("data", take);
  child.stderr.setEncoding("utf8").on("data", take);
  return new Promise((resolve) => {
    child.on("error", (error) => take(error.message));
    child.on("close", (code) => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, stop);
      resolve({ code: code ?? 1, output });
    });
  });
}

function readArguments(): { readonly versions: readonly string[]; readonly part: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { t: { type: "string", short: "t" } },
    });
    const wrong = positionals.find((version) => !/^\d+\.\d+\.\d+$/.test(version));
    if (wrong !== undefined) return fail(`"${wrong}" is no version.`);
    if (positionals.length === 0) return fail("No version was given.");
    return { versions: positionals, part: values.t };
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(problem: string): never {
  console.error(`${problem}\n${USAGE}`);
  process.exit(1);
}
