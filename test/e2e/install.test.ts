import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createOpencodeClient } from "@opencode-ai/sdk/client";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type OpencodeServer,
  type ScriptedModel,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { SERVE, until } from "./limits.ts";
import { COMPLETE, PLUGIN } from "./stage.ts";

const root = fileURLToPath(PLUGIN);
/** Everything these tests put on disk. */
let place: string;
let tarball: string;
/** What is in the tarball. */
let unpacked: string;

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "goalkeeper-install-"));
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", place], {
    cwd: root,
    stdio: "pipe",
  });
  tarball = join(place, JSON.parse(packed.toString())[0].filename);
  execFileSync("tar", ["-xzf", tarball, "-C", place]);
  unpacked = join(place, "package");
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

// Each in a project of its own, in one OpenCode: a start of it costs seconds.
describe("the plugin as OpenCode installs and loads it", () => {
  const asked: string[] = [];
  // A registry that knows nothing stands for having no network: npm would ask it even for optional peers.
  const registry = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      asked.push(`${request.method} ${new URL(request.url).pathname}`);
      return Response.json({}, { status: 404 });
    },
  });
  let model: ScriptedModel;
  let opencode: IsolatedOpencode;
  let server: OpencodeServer;

  beforeAll(async () => {
    model = await startScriptedModel([COMPLETE, "Done."]);
    opencode = createIsolatedOpencode({ model, env: { npm_config_registry: `http://127.0.0.1:${registry.port}/` } });
    server = await opencode.serve(SERVE);
  });

  afterAll(async () => {
    await opencode?.dispose();
    await model?.close();
    await registry.stop(true);
  });

  test("the packed tarball installs without a download, and its options arrive", async () => {
    await expectGoal("pursue", [[`opencode-goalkeeper@file:${tarball}`, { command: "pursue" }]]);
    const installed = readdirSync(join(opencode.root, "cache"), { recursive: true, encoding: "utf8" });
    const packages = installed.flatMap((path) => /\/node_modules\/((?:@[^/]+\/)?[^/.@][^/]*)$/.exec(path)?.[1] ?? []);
    expect(packages).toEqual(["opencode-goalkeeper"]);
    // npm's audit, which it does without when nobody answers.
    expect(asked.filter((request) => !request.includes("/-/npm/"))).toEqual([]);
  });

  test("a folder given as a file URL loads", async () => {
    await expectGoal("goal", [pathToFileURL(unpacked).href]);
  });

  test("a path relative to the configuration loads, with options", async () => {
    await expectGoal("aim", [["./goalkeeper", { command: "aim" }]], (project) => {
      cpSync(unpacked, join(project, "goalkeeper"), { recursive: true });
    });
  });

  /** Says the command in a new project with this list of plugins, and expects that a goal is set by it and met. */
  async function expectGoal(command: string, plugin: unknown, prepare: (project: string) => void = () => {}) {
    const directory = join(opencode.root, command);
    mkdirSync(directory);
    writeFileSync(join(directory, "opencode.json"), JSON.stringify({ plugin }));
    prepare(directory);
    const { session } = createOpencodeClient({ baseUrl: server.url, directory });
    const path = { id: (await session.create({ body: {} })).data?.id ?? "" };
    await session.command({ path, body: { command, arguments: "be installed" } });
    // It is written a moment after the turn has ended.
    const goal = { objective: "be installed", status: "complete" };
    const stored = async () => (await server.metadata(path.id)).goalkeeper ?? {};
    await until(
      "the goal is met",
      async () => Bun.deepMatch({ goal }, await stored()),
      async () => JSON.stringify(await stored()),
    );
  }
});

describe("the package in a consumer's project", () => {
  const program = `
    import { createTaskManager, DEFAULT_OPTIONS, parseOptions } from "opencode-goalkeeper";
    import plugin from "opencode-goalkeeper/server";
    import { createIsolatedOpencode, startScriptedModel } from "opencode-goalkeeper/testing";
    const turns = parseOptions({ max_auto_turns: 3 }).options.max_auto_turns + DEFAULT_OPTIONS.max_auto_turns;
    const kinds = [createTaskManager, plugin.server, createIsolatedOpencode, startScriptedModel].map((value) => typeof value);
    console.log(turns, plugin.id, ...kinds);
  `;
  const said = "28 goalkeeper function function function function";
  let consumer: string;

  beforeAll(() => {
    consumer = join(place, "consumer");
    mkdirSync(join(consumer, "node_modules"), { recursive: true });
    cpSync(unpacked, join(consumer, "node_modules/opencode-goalkeeper"), { recursive: true });
    writeFileSync(join(consumer, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(consumer, "program.mjs"), program);
  });

  for (const [name, command] of [
    ["Node", "node"],
    ["Bun", process.execPath],
  ] as const) {
    test(`every export is imported by ${name}, without any peer installed`, () => {
      const result = spawnSync(command, ["program.mjs"], { cwd: consumer, encoding: "utf8" });
      expect([result.stdout.trim(), result.stderr]).toEqual([said, ""]);
    });
  }

  test.each(["nodenext", "bundler"])("the types of the library need nothing beside it, with %s", (resolution) => {
    writeFileSync(
      join(consumer, "library.ts"),
      'import * as library from "opencode-goalkeeper";\nexport const turns: number = library.DEFAULT_OPTIONS.max_auto_turns;\n',
    );
    expect(check("library.ts", `--target es2022 --moduleResolution ${resolution}`, [])).toBe("");
  });

  test("those of the test kit need the SDK, and no types of Node", () => {
    mkdirSync(join(consumer, "node_modules/@opencode-ai"));
    symlinkSync(join(root, "node_modules/@opencode-ai/sdk"), join(consumer, "node_modules/@opencode-ai/sdk"));
    writeFileSync(join(consumer, "kit.ts"), 'export * from "opencode-goalkeeper/testing";\n');
    expect(check("kit.ts", "--target es2022", [])).toBe("");
    rmSync(join(consumer, "node_modules/@opencode-ai"), { recursive: true });
  });

  test("the types of every export are found and say no when they should", () => {
    for (const peer of ["@opencode-ai", "@types"]) {
      symlinkSync(join(root, "node_modules", peer), join(consumer, "node_modules", peer));
    }
    writeFileSync(join(consumer, "good.ts"), program);
    writeFileSync(
      join(consumer, "bad.ts"),
      'import { DEFAULT_OPTIONS } from "opencode-goalkeeper";\nconst turns: string = DEFAULT_OPTIONS.max_auto_turns;\nconsole.log(turns);\n',
    );
    expect(check("good.ts")).toBe("");
    expect(check("bad.ts")).toContain("TS2322");
  });

  test("package.json names the hosts that it is for", () => {
    const { engines, dependencies } = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
    expect(engines).toEqual({ node: expect.stringMatching(/^>=20/), opencode: ">=1.18.15 <2" });
    expect(dependencies).toBeUndefined();
  });

  /** As strict as it gets, and without skipLibCheck. */
  function check(file: string, more = "--target esnext", types = ["--types", "node"]): string {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const module = more.includes("bundler") ? "esnext" : "nodenext";
    const options = `--noEmit --strict --module ${module} --pretty false ${more}`.split(" ");
    return spawnSync("node", [tsc, ...options, ...types, file], { cwd: consumer, encoding: "utf8" }).stdout;
  }
});
