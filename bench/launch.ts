import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createIsolatedOpencode, type ScriptedModel, startScriptedModel } from "../src/testing/index.ts";
import { type Extent, median, ms, type Row, times } from "./table.ts";

const PAIRS = 40;
/** The first children of a fresh OpenCode are slower for everybody. */
const WARM_UP = 5;

/**
 * From the call of `launch` to the child's first model request, against a plugin that creates the session and prompts it
 * with nothing checked and nothing stored. Both in one plugin on one server, in turn.
 */
export async function benchLaunch(extent: Extent): Promise<readonly Row[]> {
  const [pairs, warmUp] = extent === "full" ? [PAIRS, WARM_UP] : [1, 0];
  const { ours, bare } = await launches(pairs, warmUp);
  return [
    {
      what: `launch to the child's first model request, ${pairs} pairs`,
      ours: ms(median(ours)),
      against: `${ms(median(bare))} (bare create and prompt)`,
      ratio: `${times(median(ours), median(bare))}, +${ms(median(ours) - median(bare))}`,
      aim: "≤ +50 ms",
    },
  ];
}

interface Launched {
  readonly way: "ours" | "bare";
  readonly sessionID: string;
  /** Before the first call; epoch ms. */
  readonly at: number;
}

async function launches(pairs: number, warmUp: number): Promise<Record<Launched["way"], readonly number[]>> {
  const model = await startScriptedModel({
    root: [{ toolCalls: [{ name: "launch_pairs" }] }, "Done.", "Noted."],
    children: { "*": "Done." },
  });
  const opencode = createIsolatedOpencode({ model, files: { "launcher.js": launcherSource(pairs + warmUp) } });
  opencode.writeConfig({
    ...JSON.parse(readFileSync(opencode.configPath, "utf8")),
    plugin: [join(opencode.directory, "launcher.js")],
  });
  try {
    const server = await opencode.serve({ readyTimeoutMs: 120_000 });
    const session = await server.createSession();
    await server.prompt(session.id, "launch them");
    await server.waitForIdle(session.id, { timeoutMs: 300_000 });
    const lines = readFileSync(join(opencode.directory, "launches.txt"), "utf8").trim().split("\n");
    const launched = lines.map((line) => JSON.parse(line) as Launched).slice(2 * warmUp);
    const waits = (way: Launched["way"]) =>
      launched.filter((one) => one.way === way).map(({ sessionID, at }) => firstRequestAt(model, sessionID) - at);
    return { ours: waits("ours"), bare: waits("bare") };
  } finally {
    await opencode.dispose();
    await model.close();
  }
}

function firstRequestAt(model: ScriptedModel, sessionID: string): number {
  return model.requests.find((request) => request.sessionID === sessionID)?.at ?? Number.NaN;
}

/** One after the other, each when the child before it has come to rest. */
function launcherSource(pairs: number): string {
  const library = new URL("../dist/index.js", import.meta.url).href;
  return `
import { appendFileSync } from "node:fs";
import { createTaskManager } from ${JSON.stringify(library)};
const now = () => performance.timeOrigin + performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
  id: "launcher",
  server: async ({ client, directory }) => {
    const tasks = createTaskManager({ client, directory, key: "launcher" });
    const resting = new Set();
    const ways = {
      ours: async (parentID) => (await tasks.launch({ parentID, description: "child", prompt: "do it" })).id,
      bare: async (parentID) => {
        const { data } = await client.session.create({ body: { parentID, title: "child" } });
        const body = { agent: "general", parts: [{ type: "text", text: "do it" }] };
        await client.session.promptAsync({ path: { id: data.id }, body });
        return data.id;
      },
    };
    const run = async (way, parentID) => {
      const at = now();
      const sessionID = await ways[way](parentID);
      appendFileSync(directory + "/launches.txt", JSON.stringify({ way, sessionID, at }) + "\\n");
      while (!resting.has(sessionID)) await sleep(5);
      await sleep(100);
    };
    return {
      event: async ({ event }) => {
        tasks.event(event);
        if (event.type === "session.status" && event.properties.status.type === "idle") resting.add(event.properties.sessionID);
      },
      dispose: async () => tasks.dispose(),
      tool: {
        launch_pairs: {
          description: "launches",
          args: {},
          execute: async (_, { sessionID }) => {
            for (let pair = 0; pair < ${pairs}; pair++) {
              const order = pair % 2 === 0 ? ["ours", "bare"] : ["bare", "ours"];
              for (const way of order) await run(way, sessionID);
            }
            return "launched";
          },
        },
      },
    };
  },
};
`;
}
