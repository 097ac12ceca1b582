// Runs a TypeScript program of this repository on Bun, after everything that it needs:
//   node scripts/run.mjs [--build] <program> [arguments of the program …]
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bun, root, setup } from "./setup.mjs";

const args = process.argv.slice(2);
const needsBuild = args[0] === "--build";
if (needsBuild) args.shift();
const [program, ...programArgs] = args;

if (program === undefined || !existsSync(join(root, program))) {
  console.error(program === undefined ? "run: no program given" : `run: ${program} does not exist`);
  process.exit(1);
}

setup();

if (needsBuild) {
  const build = spawnSync(bun, ["scripts/build.ts", "--quiet"], { cwd: root, stdio: "inherit" });
  if (build.status !== 0) process.exit(build.status ?? 1);
}

const child = spawn(bun, [program, ...programArgs], { cwd: root, stdio: "inherit" });
// A terminal sends its signals to the child too; these are for a kill from elsewhere, and so that we outlive the child.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`run: ${error.message}`);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});
