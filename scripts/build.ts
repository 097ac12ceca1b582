// Builds dist/ from the entries in package.json's `exports` and `bin`: dist/<name>.js is bundled from src/<name>.ts, and
// the .d.ts files come from tsc. Everything is written beside dist/ and moved over it file by file, so that a process
// that loads the plugin meanwhile never sees half a build.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import packageJson from "../package.json" with { type: "json" };

const root = dirname(import.meta.dir);
const dist = join(root, "dist");
const out = join(root, `dist.tmp-${process.pid}`);
const quiet = process.argv.includes("--quiet");

/** Says what is wrong with the sources or the build; no stack needed. */
class BuildError extends Error {
  override name = "BuildError";
}

/**
 * May be imported by what we ship without being bundled: whoever uses that export has it. They are no peerDependencies,
 * because npm asks the registry for those even when they are optional, and OpenCode's start waits for npm.
 */
const peers = ["@opencode-ai/plugin", "@opencode-ai/sdk", "opencode-ai"];

const { exports, bin = {} } = packageJson as { exports: Record<string, unknown>; bin?: Record<string, string> };

function libraries(): string[] {
  const targets = Object.values(exports).map((target) => (target as { default?: string }).default);
  return targets.filter((target) => target !== undefined).map(sourceOf);
}

function binaries(): string[] {
  return Object.values(bin).map(sourceOf);
}

function sourceOf(target: string): string {
  const name = relative("dist", target).replace(/\.js$/, "");
  const source = [`src/${name}.ts`, `src/${name}.tsx`].find((file) => existsSync(join(root, file)));
  if (source === undefined) throw new BuildError(`package.json promises ${target}, but there is no src/${name}.ts`);
  return source;
}

/** What a bundled package of others asks for. Of OpenCode's SDK only the client is in there, for the program alone. */
const SDK_NOTICE = "// Contains the client of @opencode-ai/sdk, MIT License, Copyright (c) 2025 opencode";

/**
 * The plugin is one self-contained file, because every file and every import costs start-up time. The other entries share
 * their code, so that an error class from one is the same class in another. A program is one file, too, with the SDK's
 * client in it: who runs it has nothing but Node and OpenCode.
 */
async function bundle(sources: string[]): Promise<void> {
  const server = sources.filter((source) => source === "src/server.ts");
  const programs = sources.filter((source) => binaries().includes(source));
  const others = sources.filter((source) => source !== "src/server.ts" && !programs.includes(source));
  for (const entrypoints of [server, others, ...programs.map((program) => [program])]) {
    if (entrypoints.length === 0) continue;
    const isProgram = programs.some((program) => entrypoints.includes(program));
    const result = await Bun.build({
      entrypoints: entrypoints.map((source) => join(root, source)),
      root: join(root, "src"),
      outdir: out,
      target: "node",
      format: "esm",
      splitting: entrypoints.length > 1,
      naming: { entry: "[dir]/[name].[ext]", chunk: "shared-[hash].[ext]" },
      external: isProgram ? [] : peers.flatMap((peer) => [peer, `${peer}/*`]),
      // Not minified: a stack trace in a user's log stays readable, and Bun loads it as fast. The banner tells Bun that the
      // file is plain JavaScript already, which saves transpiling it at every start. Node sees a comment.
      ...(entrypoints === server ? { banner: "// @bun" } : {}),
      ...(isProgram ? { footer: SDK_NOTICE } : {}),
      throw: false,
    });
    if (!result.success) throw new BuildError(result.logs.map(String).join("\n"));
    // After that banner Bun reads the file as Latin-1: "…" would reach people as three other characters.
    if (entrypoints === server) for (const { path } of result.outputs) escapeNonAscii(path);
  }
}

function escapeNonAscii(path: string): void {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  // By UTF-16 unit: in a string, a template and a regular expression two escapes are one character again.
  writeFileSync(path, readFileSync(path, "utf8").replace(/[\u0080-\uffff]/g, escaped));
}

function declarations(): void {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", "tsconfig.src.json", "--emitDeclarationOnly", "--outDir", out, "--pretty", "false"];
  const result = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (result.status !== 0) throw new BuildError(`${result.stdout}${result.stderr}`.trim());
}

/** Removes declarations that no library entry leads to, and answers which packages the remaining ones mention. */
function pruneDeclarations(sources: string[]): Set<string> {
  const reachable = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (reachable.has(file)) return;
    reachable.add(file);
    for (const specifier of importsOf(readFileSync(file, "utf8"))) {
      if (specifier.startsWith(".")) visit(resolve(dirname(file), specifier.replace(/\.(js|tsx?)$/, ".d.ts")));
      else packages.add(packageOf(specifier));
    }
  };
  for (const source of sources) visit(join(out, relative("src", source).replace(/\.tsx?$/, ".d.ts")));
  for (const file of filesIn(out)) if (file.endsWith(".d.ts") && !reachable.has(file)) unlinkSync(file);
  return packages;
}

/** A user has nothing but Node, the host and perhaps the peers: everything else must be inside the bundle. */
function checkImports(typePackages: Set<string>): void {
  for (const name of typePackages) {
    if (!isBuiltin(name) && !peers.includes(name)) {
      throw new BuildError(`The public types mention "${name}", which users do not have. Write the type out.`);
    }
  }
  const server = join(out, "server.js");
  const programs = binaries().map((source) => join(out, relative("src", source).replace(/\.tsx?$/, ".js")));
  const transpiler = new Bun.Transpiler({ loader: "js" });
  for (const file of filesIn(out).filter((file) => file.endsWith(".js"))) {
    // The scanner does not know the first line of a program.
    for (const { path } of transpiler.scanImports(readFileSync(file, "utf8").replace(/^#!.*/, ""))) {
      if (path.startsWith(".") && file !== server) continue;
      const isAlone = file === server || programs.includes(file);
      const allowed = isBuiltin(path) || (!isAlone && peers.includes(packageOf(path)));
      if (!allowed) throw new BuildError(`${relative(out, file)} imports "${path}" at run time.`);
    }
  }
}

/**
 * Imports every library entry on plain Node: a desktop build of OpenCode may run there, and a bundle with a missing
 * export (as Bun 1.3.14 makes of re-exports when package.json says `"sideEffects": false`) fails here.
 */
function checkLoads(sources: string[]): void {
  const files = sources
    .filter((source) => source.endsWith(".ts"))
    .map((source) => pathToFileURL(join(out, relative("src", source).replace(/\.ts$/, ".js"))).href);
  const code = `for (const file of ${JSON.stringify(files)}) await import(file);`;
  const result = spawnSync("node", ["--input-type=module", "--eval", code], { cwd: root, encoding: "utf8" });
  if (result.status !== 0)
    throw new BuildError(`Node cannot import the build:\n${result.stderr ?? result.error?.message}`);
}

/** TypeScript leaves `./x.ts` in declarations; older consumers only resolve `./x.js`. */
function rewriteExtensions(): void {
  for (const file of filesIn(out).filter((file) => file.endsWith(".d.ts"))) {
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(/((?:\bfrom|\bimport)\s*\(?\s*["']\.{1,2}\/[^"']+)\.tsx?(["'])/g, "$1.js$2"));
  }
}

function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "");
  return [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g)].flatMap(
    ([, specifier]) => specifier ?? [],
  );
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || builtinModules.filter((name) => !name.startsWith("bun")).includes(specifier);
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}

function publish(): void {
  const fresh = new Set(filesIn(out).map((file) => relative(out, file)));
  for (const name of fresh) {
    mkdirSync(dirname(join(dist, name)), { recursive: true });
    renameSync(join(out, name), join(dist, name));
  }
  for (const file of filesIn(dist)) if (!fresh.has(relative(dist, file))) rmSync(file, { force: true });
}

try {
  const startedAt = performance.now();
  const sources = [...libraries(), ...binaries()];
  await bundle(sources);
  declarations();
  checkImports(pruneDeclarations(libraries()));
  rewriteExtensions();
  checkLoads(libraries());
  publish();
  if (!quiet) {
    const sizes = sources.map((source) => {
      const file = relative("src", source).replace(/\.tsx?$/, ".js");
      return `${file} ${Math.ceil(statSync(join(dist, file)).size / 1024)} KB`;
    });
    console.log(`${sizes.join(", ")}  (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  }
} catch (error) {
  console.error(error instanceof BuildError ? error.message : error);
  process.exitCode = 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}
