// npm run capture: OpenCode's own screen while three background tasks work, as text for the README. Needs tmux.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createGate, createIsolatedOpencode, startScriptedModel } from "../src/testing/index.ts";

const ROOT = join(import.meta.dir, "..");
const PROMPT = "Review src/auth, src/billing and src/api in parallel, each with a sub-agent of its own";
const COLUMNS = 100;
const ROWS = 28;
/** A busy machine is slow; whoever watches may end it sooner. */
const GIVES_UP_AFTER_MS = 5 * 60_000;

const [failure, results] = [createGate(), createGate()];
await using model = closing(
  await startScriptedModel({
    root: [
      {
        text: "I send one reviewer to each of the three.",
        toolCalls: ["auth", "billing", "api"].map((name) => ({
          name: "background_task",
          args: { description: `Review src/${name}`, prompt: `Review src/${name} for bugs.` },
        })),
      },
      "All three are at work. I end my turn until they report.",
      "The review of src/billing failed: its provider refused the key. I wait for the other two.",
      "src/auth and src/api are reviewed; src/billing is still to be done.",
    ],
    children: {
      "src/auth": { text: "src/auth: no findings.", until: results.opened },
      "src/billing": { error: { status: 401, message: "the provider refused the key" }, until: failure.opened },
      "src/api": { text: "src/api: two handlers swallow errors.", until: results.opened },
    },
  }),
);
await using opencode = createIsolatedOpencode({ model: model.value, plugins: [ROOT] });
const { file, args, env, cwd } = opencode.commandLine(["--prompt", PROMPT]);
const socket = join(opencode.root, "tmux");
const variables = Object.entries({ ...env, TERM: "xterm-256color" }).map(([name, value]) => `${name}=${value}`);
tmux("new-session", "-d", "-x", `${COLUMNS}`, "-y", `${ROWS}`, "-c", cwd, "env", "-i", ...variables, file, ...args);
try {
  await shown("All three are at work");
  await Bun.sleep(4_000);
  print("three at work");
  failure.open();
  await shown("I wait for the other two");
  await Bun.sleep(1_000);
  print("one has failed, and the agent was told");
  results.open();
  await shown("is still to be done");
  await Bun.sleep(1_000);
  print("all have ended");
} finally {
  tmux("kill-server");
}

function tmux(...command: string[]): string {
  const { stdout, stderr, status, error } = spawnSync("tmux", ["-S", socket, ...command], { encoding: "utf8" });
  if (error !== undefined) throw new Error(`tmux could not be run (is it installed?): ${error.message}`);
  if (status !== 0) throw new Error(`tmux ${command[0]}: ${stderr}`);
  return stdout;
}

async function shown(words: string): Promise<void> {
  const until = Date.now() + GIVES_UP_AFTER_MS;
  while (!tmux("capture-pane", "-p").includes(words)) {
    if (Date.now() > until) throw new Error(`"${words}" is not on the screen:\n${tmux("capture-pane", "-p")}`);
    await Bun.sleep(50);
  }
}

function print(title: string): void {
  const lines = tmux("capture-pane", "-p").split("\n");
  console.log([`--- ${title}`, ...lines.map((line) => line.trimEnd())].join("\n"));
}

/** For `await using`: the model's own end is called `close`. */
function closing<T extends { close(): Promise<void> }>(value: T) {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
