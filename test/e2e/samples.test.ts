/** What README and docs show is extracted, compiled as its reader would, and run where it can be (U20). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseCommand } from "../../src/cli/arguments.ts";
import { parseOptions } from "../../src/options.ts";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type ModelRequest,
  type ScriptedModel,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { RUN_MS, SERVE } from "./limits.ts";

const ROOT = join(import.meta.dir, "../..");
const TEXTS = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith(".md"),
);

interface Block {
  readonly language: string;
  readonly code: string;
}

const blocks: readonly Block[] = TEXTS.flatMap((path) => {
  const text = readFileSync(join(ROOT, path), "utf8");
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = "", code = ""]) => ({ language, code }));
});

function inLanguage(...languages: readonly string[]): readonly string[] {
  return blocks.filter(({ language }) => languages.includes(language)).map(({ code }) => code);
}

/** The one sample that holds these words. */
function sample(words: string): string {
  const [found, ...more] = inLanguage("ts").filter((code) => code.includes(words));
  if (found === undefined || more.length > 0) throw new Error(`${more.length + 1} samples hold ${words}`);
  return found;
}

/** A project of somebody who has installed what README says. */
let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "goalkeeper-samples-"));
  const ours = join(project, "node_modules/opencode-goalkeeper");
  mkdirSync(join(project, "node_modules/opencode-goalkeeper"), { recursive: true });
  cpSync(join(ROOT, "dist"), join(ours, "dist"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(ours, "package.json"));
  for (const name of ["@opencode-ai", "@types", "opencode-ai", "zod"])
    symlinkSync(join(ROOT, "node_modules", name), join(project, "node_modules", name));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("samples of README and docs", () => {
  const samples = inLanguage("ts", "typescript", "js", "javascript");

  test.each(["nodenext", "bundler"])("compile in strict mode, without skipLibCheck: %s", (resolution) => {
    expect(samples.length).toBeGreaterThan(2);
    const files = samples.map((code, at) => {
      writeFileSync(join(project, `sample-${at}.ts`), code);
      return `sample-${at}.ts`;
    });
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const module = resolution === "bundler" ? "esnext" : resolution;
    const options = `--noEmit --strict --module ${module} --moduleResolution ${resolution} --target es2022 --types node`;
    const { stdout } = spawnSync("node", [tsc, ...options.split(" "), ...files], { cwd: project, encoding: "utf8" });
    expect(stdout).toBe("");
  });

  test("configurations are JSON and YAML, and hold options that there are", () => {
    const configurations = [
      ...inLanguage("json", "jsonc").map((code) => JSON.parse(code)),
      ...inLanguage("yaml", "yml").map((code) => Bun.YAML.parse(code)),
    ];
    expect(configurations.length).toBeGreaterThan(1);
    // Also those within a line: "plugin": [["opencode-goalkeeper", { … }]].
    const inline = TEXTS.flatMap(
      (path) => readFileSync(join(ROOT, path), "utf8").match(/"plugin": \[.*\](?=`)/g) ?? [],
    );
    const lists = [...configurations, ...inline.map((text) => JSON.parse(`{${text}}`))].flatMap(
      ({ plugin = [] }) => plugin,
    );
    expect(lists.length).toBeGreaterThan(2);
    for (const [, options = {}] of lists.filter(Array.isArray)) expect(parseOptions(options).problems).toEqual([]);
  });

  test("shell lines are such, and what they call of ours is there", () => {
    const lines = inLanguage("sh", "bash");
    expect(lines.length).toBeGreaterThan(3);
    for (const code of lines) expect(spawnSync("bash", ["-n"], { input: code, encoding: "utf8" }).stderr).toBe("");
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const text = TEXTS.map((path) => readFileSync(join(ROOT, path), "utf8")).join("\n");
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
    const commands = [
      ...[...lines, ...inLanguage("yaml")].join("\n").matchAll(/npx goalkeeper ([^#\n]*?)(?: > \S+)?$/gm),
    ];
    expect(commands.length).toBeGreaterThan(3);
    for (const [, words = ""] of commands) {
      const args = words.trim().match(/"[^"]*"|\S+/g) ?? [];
      expect(parseCommand(args.map((word) => word.replaceAll('"', ""))).kind).toBe("run");
    }
  });
});

describe("run", () => {
  let model: ScriptedModel;
  let opencode: IsolatedOpencode;
  let url: string;

  /** The plugin of README in a folder as README has it. */
  beforeAll(async () => {
    const folder = join(project, "reviewer");
    mkdirSync(folder);
    writeFileSync(join(folder, "reviewer.ts"), sample("satisfies PluginModule"));
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify({ type: "module", exports: { "./server": "./reviewer.ts" } }),
    );
    model = await startScriptedModel({ root: review, children: { "*": "Two findings." } });
    opencode = createIsolatedOpencode({ model, plugins: [pathToFileURL(folder).href] });
    url = (await opencode.serve(SERVE)).url;
  });

  afterAll(async () => {
    await opencode?.dispose();
    await model?.close();
  });

  describe.each([
    ["Bun", process.execPath],
    ["Node", "node"],
  ])("on %s", (name, runtime) => {
    test("the wait ends, the plugin's task was told before that, and nothing is left unhandled", async () => {
      const settled = await run(
        runtime,
        `wait-${name}`,
        sample("waitForSessionTree(").replace("http://127.0.0.1:4096", url),
      );
      expect(settled).toEqual({ code: 0, out: expect.stringMatching(/^0 \[\]$/m), err: "" });
      expect(JSON.stringify(model.requests.at(-1)?.messages)).toContain("Two findings.");
    });

    test.each(["timed-out", "aborted", "not-found", "stream-closed"])("so it is when it ends as %s", async (kind) => {
      expect(await run(runtime, `${kind}-${name}`, ending(kind))).toEqual({ code: 0, out: `${kind}\n`, err: "" });
    });
  });

  test("the test of a plugin", async () => {
    const plugin = pathToFileURL(join(project, "reviewer")).href;
    const code = sample("createIsolatedOpencode(")
      .replace("file:///path/to/your/plugin.js", plugin)
      // What is long enough for its reader need not be so beside other tests.
      .replace(".serve()", `.serve({ readyTimeoutMs: ${RUN_MS} })`)
      .replace("waitForIdle(session.id)", `waitForIdle(session.id, { timeoutMs: ${RUN_MS} })`);
    expect(await run("node", "testing", code)).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+ \[\]\n$/) });
  });

  function review({ step }: ModelRequest) {
    if (step === 0) return { toolCalls: [{ name: "review", args: { file: "src/auth.ts" } }] };
    return step === 1 ? "It is on its way." : "It has two findings.";
  }

  /** A wait that ends in this way, in a program that ends by itself. */
  function ending(kind: string): string {
    const gone = kind === "stream-closed" ? "http://127.0.0.1:9" : url;
    return `
import { createOpencodeClient } from "@opencode-ai/sdk/client";
import { waitForSessionTree } from "opencode-goalkeeper";
const client = createOpencodeClient({ baseUrl: ${JSON.stringify(gone)} });
const { data } = ${kind === "timed-out" || kind === "aborted" ? "await client.session.create()" : '{ data: { id: "ses_0nowhere" } }'};
const controller = new AbortController();
const onChange = () => { if (${kind === "aborted"}) controller.abort(); };
const options = { signal: controller.signal, onChange${kind === "timed-out" ? ", timeoutMs: 300" : ""} };
console.log((await waitForSessionTree(client, data.id, options)).kind);
// What is left unhandled may show later.
await new Promise((resolve) => setTimeout(resolve, 500));
`;
  }

  async function run(runtime: string, name: string, code: string) {
    // Node 20 reads no TypeScript; what is run is what README says all the same.
    const source = new Bun.Transpiler({ loader: "ts" }).transformSync(code);
    writeFileSync(join(project, `${name}.mjs`), source);
    const child = Bun.spawn([runtime, `${name}.mjs`], {
      cwd: project,
      stdout: "pipe",
      stderr: "pipe",
      timeout: RUN_MS,
    });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, out, err };
  }
});
