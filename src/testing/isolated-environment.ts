import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ROOT_VARIABLE } from "./owned-processes.ts";
import type { ScriptedProviderConfig } from "./scripted-model.ts";

/** A plugin as OpenCode's `plugin` list takes it. A path that is absolute or begins with `.` is read from the current directory. */
export type PluginSpec = string | readonly [spec: string, options: Readonly<Record<string, unknown>>];

export interface EnvironmentOptions {
  /**
   * The scripted model; anything with a `providerConfig()`. OpenCode then knows no model but those, which saves it a
   * fifth of its start. Without it the configuration has to name a provider, and the models are those of models.dev.
   */
  model?: { providerConfig(): ScriptedProviderConfig };
  /** Merged over the model's configuration, one level deep. */
  config?: Readonly<Record<string, unknown>>;
  plugins?: readonly PluginSpec[];
  /** More variables; `undefined` removes one. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Files of the project directory, by relative path. */
  files?: Readonly<Record<string, string>>;
  /** Native background tasks (`OPENCODE_EXPERIMENTAL_BACKGROUND_SUBAGENTS`). @default true */
  backgroundSubagents?: boolean;
  /**
   * Makes the project a git repository with one commit, which gives it a project id of its own. Without it the project
   * id is "global", and the host looks for configuration in every directory above the project, too.
   * @default false
   */
  git?: boolean;
}

/** Where one isolated OpenCode keeps its things. */
export interface IsolatedEnvironment {
  /** The directory that holds all the others. */
  readonly root: string;
  /** The project: working directory and `PWD` of every process. */
  readonly directory: string;
  readonly configPath: string;
  /** The whole environment of every process. Nothing but PATH, language, terminal and the like is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** What OpenCode has written to its log files. */
  readLog(): string;
  /** Writes the configuration anew; the next start reads it. */
  writeConfig(config: Readonly<Record<string, unknown>>): void;
}

/** A plugin given as a file or folder is not there. OpenCode would go on without it, and a test would pass. */
export class PluginNotFoundError extends Error {
  override readonly name = "PluginNotFoundError";

  constructor(readonly path: string) {
    super(`There is no plugin at ${path}. OpenCode would start without it; is it built?`);
  }
}

const INHERITED = /^(PATH|LANG|LANGUAGE|LC_\w+|TERM|COLORTERM|TZ|SHELL|USER|LOGNAME|SYSTEMROOT|COMSPEC|PATHEXT)$/i;

export function createEnvironment(options: EnvironmentOptions): IsolatedEnvironment {
  const config = assembleConfig(options);
  const root = realpathSync(mkdtempSync(join(tmpdir(), "isolated-opencode-")));
  const place = (name: string): string => {
    mkdirSync(join(root, name), { recursive: true });
    return join(root, name);
  };
  const directory = place("project");
  const configHome = place("config");
  const dataHome = place("data");
  const configPath = join(root, "opencode.json");
  const modelsPath = join(root, "models.json");
  writeFileSync(modelsPath, "{}");
  const temporary = place("tmp");
  const home = place("home");

  const env: Record<string, string> = {};
  const set = (variables: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(variables)) {
      if (value === undefined) delete env[name];
      else env[name] = value;
    }
  };
  set(Object.fromEntries(Object.entries(process.env).filter(([name]) => INHERITED.test(name))));
  set({
    [ROOT_VARIABLE]: root,
    HOME: home,
    USERPROFILE: home,
    XDG_CONFIG_HOME: configHome,
    XDG_DATA_HOME: dataHome,
    XDG_STATE_HOME: place("state"),
    XDG_CACHE_HOME: place("cache"),
    TMPDIR: temporary,
    TMP: temporary,
    TEMP: temporary,
    PWD: directory, // The host takes the project directory from here rather than from the working directory.
    OPENCODE_CONFIG: configPath,
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    OPENCODE_DISABLE_MODELS_FETCH: "1",
    OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
    OPENCODE_MODELS_PATH: options.model === undefined ? undefined : modelsPath,
    OPENCODE_EXPERIMENTAL_BACKGROUND_SUBAGENTS: (options.backgroundSubagents ?? true) ? "true" : undefined,
  });
  set(options.env ?? {});

  const writeConfig = (config: Readonly<Record<string, unknown>>): void => {
    writeFileSync(configPath, `${JSON.stringify(config, undefined, 2)}\n`);
  };
  writeConfig(config);
  preventInstall(join(configHome, "opencode"));
  for (const [path, text] of Object.entries(options.files ?? {})) {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    if (/^\.opencode[/\\]/.test(path)) preventInstall(join(directory, ".opencode"));
  }
  if (options.git) createRepository(directory, env);

  const logs = join(dataHome, "opencode", "log");
  return { root, directory, configPath, env, writeConfig, readLog: () => readLogs(logs) };
}

function assembleConfig({ model, config = {}, plugins = [] }: EnvironmentOptions): Record<string, unknown> {
  const fromModel: Record<string, unknown> = { ...model?.providerConfig() };
  const merged: Record<string, unknown> = {
    $schema: "https://opencode.ai/config.json",
    permission: "allow",
    share: "disabled",
    snapshot: false,
    ...fromModel,
    ...config,
  };
  if (isObject(fromModel.provider) && isObject(config.provider))
    merged.provider = { ...fromModel.provider, ...config.provider };
  const listed = Array.isArray(config.plugin) ? config.plugin : [];
  if (plugins.length > 0) merged.plugin = [...listed, ...plugins.map(resolvePlugin)];
  return merged;
}

function resolvePlugin(spec: PluginSpec): unknown {
  if (typeof spec !== "string") return [resolvePlugin(spec[0]), spec[1]];
  const url = spec.startsWith(".") || isAbsolute(spec) ? pathToFileURL(resolve(spec)).href : spec;
  if (url.startsWith("file:") && !existsSync(fileURLToPath(url))) throw new PluginNotFoundError(fileURLToPath(url));
  return url;
}

/**
 * On its first start OpenCode installs `@opencode-ai/plugin` from npm into each configuration directory, in the
 * background, and while that runs a SIGTERM does not end it. It leaves a directory alone that looks installed already.
 */
function preventInstall(directory: string): void {
  const dependencies = { "@opencode-ai/plugin": "*" };
  mkdirSync(join(directory, "node_modules"), { recursive: true });
  writeFileSync(join(directory, "package.json"), JSON.stringify({ dependencies }));
  writeFileSync(
    join(directory, "package-lock.json"),
    JSON.stringify({ lockfileVersion: 3, packages: { "": { dependencies } } }),
  );
}

function createRepository(directory: string, env: Readonly<Record<string, string>>): void {
  const date = "2020-01-01T00:00:00Z";
  const identity = { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  const git = (...args: string[]): void => {
    execFileSync("git", ["-c", "user.name=test", "-c", "user.email=test@localhost", ...args], {
      cwd: directory,
      env: { ...env, ...identity },
      stdio: "pipe",
    });
  };
  git("init", "--quiet", "--initial-branch=main");
  git("add", "--all");
  // The project id comes from the first commit: the directory's name makes it this project's alone.
  git("commit", "--quiet", "--allow-empty", "--message", directory);
}

function readLogs(directory: string): string {
  try {
    const files = readdirSync(directory).filter((name) => name.endsWith(".log"));
    return files
      .sort()
      .map((name) => readFileSync(join(directory, name), "utf8"))
      .join("");
  } catch {
    return ""; // OpenCode has not started yet.
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
