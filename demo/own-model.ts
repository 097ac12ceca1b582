import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { SessionScript } from "../src/testing/index.ts";
import type { Scenario } from "./scenario.ts";

/** The demo on a model of the user's own: reads the user's configuration and login, and never writes there. */

/** This one agent is scripted, so that its task fails for certain and for free. */
const FAILING_AGENT = "always-fails";
export const FAILING_SCRIPT: SessionScript = {
  children: { "*": { error: { status: 401, message: "this agent always fails" }, delayMs: 3_000 } },
};

export const OWN: Scenario = {
  objective: `This is a rehearsal of background work in an empty directory. Follow it to the letter.
1. Call the tool background_task three times in one message:
   a. description "count words", prompt "Reply with one sentence that says how many words 'goals that finish' has."
   b. description "failing task", agent "${FAILING_AGENT}", prompt "Reply with ok."
   c. description "long sleep", prompt "Call the bash tool once with the command 'sleep 600' and a timeout of 700000. Then reply with done."
2. End your turn. You are told when they end: do not wait, read or poll, do not start them again.
3. When you have been told of all three, write the file report.txt with one line for each: how it ended.
4. Then call update_goal with status "complete" and one piece of evidence for each line.`,
  firstPartMs: 5 * 60_000,
  secondPartMs: 5 * 60_000,
};

/** The part of the configuration that makes the user's model usable, and this demo safe to run with it. */
export function ownConfig(
  model: string,
  failing: { provider: Record<string, unknown>; model: string },
): Record<string, unknown> {
  const own = readOwnConfigs();
  return {
    ...own,
    provider: { ...(own.provider as Record<string, unknown> | undefined), ...failing.provider },
    model,
    small_model: model,
    agent: {
      [FAILING_AGENT]: { mode: "subagent", model: failing.model, description: "Fails, for rehearsals", prompt: "" },
    },
    permission: {
      "*": "allow",
      bash: { "*": "deny", "sleep *": "allow" },
      external_directory: "deny",
      webfetch: "deny",
      websearch: "deny",
    },
  };
}

/** Providers take their keys from variables with any name: all are passed on, but those that say where things are. */
export function ownEnvironment(): Record<string, string | undefined> {
  const places = /^(HOME|USERPROFILE|PWD|OLDPWD|TMPDIR|TMP|TEMP|NODE_OPTIONS|XDG_\w+|OPENCODE_\w+|npm_\w+)$/i;
  const kept = Object.entries(process.env).filter(([name]) => !places.test(name));
  return { ...Object.fromEntries(kept), OPENCODE_DISABLE_MODELS_FETCH: undefined };
}

/** Copies the user's login into the sandbox, read-only. @returns what removes the copy */
export function copyLogin(sandboxData: string): () => void {
  const login = join(home("XDG_DATA_HOME", ".local/share"), "opencode", "auth.json");
  const copy = join(sandboxData, "opencode", "auth.json");
  if (existsSync(login)) {
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(login, copy);
    chmodSync(copy, 0o400);
  }
  return () => rmSync(copy, { force: true });
}

function readOwnConfigs(): Record<string, unknown> {
  const folder = join(home("XDG_CONFIG_HOME", ".config"), "opencode");
  const files = ["config.json", "opencode.json", "opencode.jsonc"].map((name) => join(folder, name));
  if (process.env.OPENCODE_CONFIG) files.push(resolve(process.env.OPENCODE_CONFIG));
  const merged: Record<string, unknown> = {};
  for (const file of files.filter(existsSync)) {
    const config = Bun.JSONC.parse(absoluteFiles(readFileSync(file, "utf8"), dirname(file)));
    if (typeof config !== "object" || config === null) continue;
    const { provider, enabled_providers, disabled_providers } = config as Record<string, unknown>;
    if (provider !== undefined)
      merged.provider = { ...(merged.provider as object | undefined), ...(provider as object) };
    if (enabled_providers !== undefined) merged.enabled_providers = enabled_providers;
    if (disabled_providers !== undefined) merged.disabled_providers = disabled_providers;
  }
  return merged;
}

/** `{file:key.txt}` is relative to the file that says so, and that file is about to move. */
function absoluteFiles(text: string, folder: string): string {
  return text.replace(/\{file:([^}]+)\}/g, (_, path: string) => {
    const fromHome = path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
    return `{file:${resolve(folder, fromHome).replaceAll("\\", "/")}}`;
  });
}

function home(variable: string, otherwise: string): string {
  return process.env[variable] || join(homedir(), otherwise);
}
