// Makes a fresh clone usable with nothing but Node and npm: installs the pinned dependencies when they are absent or not
// the ones in package-lock.json, and proves once that Bun and OpenCode run. Silent when there is nothing to do.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The binaries that the install scripts of two packages put in place; these names hold on every platform. */
export const bun = join(root, "node_modules/bun/bin/bun.exe");
export const opencode = join(root, "node_modules/opencode-ai/bin/opencode.exe");

const lockFile = join(root, "package-lock.json");
const installedFile = join(root, "node_modules/.package-lock.json");
const stampFile = join(root, "node_modules/.goalkeeper-setup");

export function setup() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) fail(`Node 20 or newer is needed; this is ${process.version}.`);

  if (!isInstalled()) {
    const seconds = install();
    console.log(`setup: installed in ${seconds} s`);
  }

  const stamp = createHash("sha256")
    .update(readFileSync(lockFile))
    .update(`${process.platform} ${process.arch}`)
    .digest("hex");
  if (existsSync(bun) && existsSync(opencode) && read(stampFile) === stamp) return;
  ensureRuns("Bun", bun, "bun", "install.js");
  ensureRuns("OpenCode", opencode, "opencode-ai", "postinstall.mjs");
  writeFileSync(stampFile, stamp);
}

/** Compares contents, not times: a checkout touches times, and a switched branch must not be taken for installed. */
function isInstalled() {
  const installed = read(installedFile);
  if (installed === undefined) return false;
  const have = JSON.parse(installed).packages;
  const want = JSON.parse(readFileSync(lockFile, "utf8")).packages;
  return Object.entries(want).every(([path, { version, optional, peer }]) => {
    if (path === "") return true;
    // Optional packages of other platforms are rightly absent.
    if (have[path] === undefined) return optional === true || peer === true;
    return have[path].version === version;
  });
}

function install() {
  console.log("setup: installing dependencies with npm ci (downloads about 300 MB, once; a minute or two)");
  const startedAt = Date.now();
  const args = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  const result =
    npm !== undefined && /npm-cli\.[cm]?js$/.test(npm)
      ? run(process.execPath, [npm, ...args])
      : run("npm", args, { shell: process.platform === "win32" });
  if (result.status !== 0) fail(`"npm ${args.join(" ")}" failed.`, result);
  return Math.round((Date.now() - startedAt) / 1000);
}

/** npm may have been told to skip install scripts, or skip them by policy; then the binary is not there yet. */
function ensureRuns(name, binary, packageName, installScript) {
  if (existsSync(binary) && run(binary, ["--version"]).status === 0) return;
  const script = join(root, "node_modules", packageName, installScript);
  const result = existsSync(script) ? run(process.execPath, [script], { cwd: dirname(script) }) : undefined;
  const check = run(binary, ["--version"]);
  if (check.status === 0) return;
  fail(
    `${name} (npm package "${packageName}") does not run on ${process.platform} ${process.arch}. ` +
      "Delete node_modules and try again with install scripts and optional dependencies allowed.",
    result !== undefined && result.status !== 0 ? result : check,
  );
}

function run(command, args, options = {}) {
  return spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
}

function read(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

function fail(message, result) {
  const output = `${result?.error?.message ?? ""}\n${result?.stdout ?? ""}\n${result?.stderr ?? ""}`.trim();
  if (output !== "") console.error(output.split("\n").slice(-20).join("\n"));
  console.error(`setup: ${message}`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  setup();
  console.log("setup: ready");
}
