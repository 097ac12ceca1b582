import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";

/** No OpenCode was found, or the one that was asked for is not there. */
export class OpencodeNotFoundError extends Error {
  override readonly name = "OpencodeNotFoundError";
  /** Every place that was looked at, in order. */
  readonly searched: readonly string[];

  constructor(reason: string, searched: readonly string[]) {
    super(
      `${reason} Install it with \`npm install --save-dev opencode-ai\`, or set OPENCODE_BIN to the opencode executable.`,
    );
    this.searched = searched;
  }
}

/**
 * Where the OpenCode executable is: `OPENCODE_BIN`, else the platform package that comes with npm's `opencode-ai`, else
 * `opencode` on the PATH. The platform package is taken directly, not through the wrapper in `.bin`, so that the process
 * that is started is the one that is stopped.
 *
 * @throws OpencodeNotFoundError
 */
export function resolveOpencodeBinary(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const wanted = env.OPENCODE_BIN;
  if (wanted) {
    if (isExecutable(wanted)) return wanted;
    throw new OpencodeNotFoundError(`OPENCODE_BIN is ${JSON.stringify(wanted)}, which is not an executable file.`, [
      wanted,
    ]);
  }
  const searched: string[] = [];
  for (const candidate of [...packagedBinaries(ours()), ...binariesOnPath(env.PATH ?? "")]) {
    searched.push(candidate);
    if (isExecutable(candidate)) return candidate;
  }
  throw new OpencodeNotFoundError("OpenCode was not found.", searched);
}

const executable = process.platform === "win32" ? "opencode.exe" : "opencode";

const ours = () => [join(process.cwd(), "package.json"), import.meta.url];

/** The executable that npm has installed below a directory; undefined if there is none. */
export function packagedBinary(directory: string): string | undefined {
  return [...packagedBinaries([join(directory, "package.json")])].find(isExecutable);
}

function* packagedBinaries(anchors: readonly string[]): Generator<string> {
  for (const anchor of anchors) {
    const require = createRequire(anchor);
    const wrapper = packageDirectory(require, "opencode-ai");
    // A strict package manager shows the platform package to opencode-ai only.
    const viaWrapper = wrapper === undefined ? require : createRequire(join(wrapper, "package.json"));
    for (const name of platformPackages()) {
      const directory = packageDirectory(viaWrapper, name);
      if (directory !== undefined) yield join(directory, "bin", executable);
    }
  }
}

/** The names of opencode-ai's platform packages that can run here, best first. */
function platformPackages(): string[] {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const base = `opencode-${system}-${process.arch}`;
  const variants = process.arch === "x64" ? ["", "-baseline"] : [""];
  if (process.arch === "x64" && !hasAvx2()) variants.reverse();
  const libc = process.platform !== "linux" ? [""] : isMusl() ? ["-musl"] : [""];
  return libc.flatMap((suffix) => variants.map((variant) => `${base}${variant}${suffix}`));
}

// Only Linux tells without running a program. Elsewhere the plain build comes first, as it fits nearly every machine.
function hasAvx2(): boolean {
  if (process.platform !== "linux") return true;
  try {
    return /\bavx2\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return true;
  }
}

function isMusl(): boolean {
  return (
    ["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"].some((loader) => existsSync(loader)) &&
    !existsSync("/lib64/ld-linux-x86-64.so.2") &&
    !existsSync("/lib/ld-linux-aarch64.so.1")
  );
}

function packageDirectory(require: NodeJS.Require, name: string): string | undefined {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    return undefined; // Not installed here: the next candidate is tried.
  }
}

function binariesOnPath(path: string): string[] {
  return path
    .split(delimiter)
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, executable));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
