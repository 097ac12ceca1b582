import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type ScriptedModel,
  startScriptedModel,
} from "../src/testing/index.ts";
import { type Extent, median, ms, type Row, times } from "./table.ts";

const PAIRS = 20;
/** The first run of a fresh OpenCode makes its database. */
const WARM_UP = 1;

interface Pair {
  readonly ours: number;
  readonly without: number;
}

/** From the start of `opencode run "say hello"` to its exit: with nothing to wait for it must not wait. */
export async function benchOpencodeRun(extent: Extent): Promise<readonly Row[]> {
  const pairs = extent === "full" ? await runs() : [await oneRun()];
  const [ours, without] = [median(pairs.map((pair) => pair.ours)), median(pairs.map((pair) => pair.without))];
  const pairwise = median(pairs.map((pair) => pair.ours / pair.without));
  return [
    {
      what: `\`opencode run\` without tasks and goal, ${pairs.length} pairs`,
      ours: ms(ours),
      against: `${ms(without)} (without the plugin)`,
      ratio: `${times(ours, without)}, pairwise ${times(pairwise, 1)}`,
      aim: "≤ 1.05×",
    },
  ];
}

const PLUGIN = new URL("../", import.meta.url).href.replace(/\/$/, "");

async function oneRun(): Promise<Pair> {
  const model = await startScriptedModel("Hello.");
  const goalkeeper = createIsolatedOpencode({ model, plugins: [PLUGIN] });
  try {
    return { ours: await durationOf(goalkeeper, model), without: Number.NaN };
  } finally {
    await goalkeeper.dispose();
    await model.close();
  }
}

/** One after the other, and each of the two first as often: what else the machine does then meets both. */
async function runs(): Promise<readonly Pair[]> {
  const model = await startScriptedModel("Hello.");
  const goalkeeper = createIsolatedOpencode({ model, plugins: [PLUGIN] });
  const without = createIsolatedOpencode({ model });
  try {
    const pairs: Pair[] = [];
    for (let pair = -WARM_UP; pair < PAIRS; pair++) {
      const isFirst = pair % 2 === 0;
      const first = await durationOf(isFirst ? goalkeeper : without, model);
      const second = await durationOf(isFirst ? without : goalkeeper, model);
      if (pair >= 0) pairs.push(isFirst ? { ours: first, without: second } : { ours: second, without: first });
    }
    return pairs;
  } finally {
    await goalkeeper.dispose();
    await without.dispose();
    await model.close();
  }
}

async function durationOf(opencode: IsolatedOpencode, model: ScriptedModel): Promise<number> {
  const startedAt = performance.now();
  const { exitCode, stdout, stderr } = await opencode.run(["run", "say hello"]);
  const took = performance.now() - startedAt;
  if (exitCode !== 0 || stdout !== "Hello.\n" || model.failures.length > 0)
    throw new Error(`opencode run ended with ${exitCode}: ${stdout}${stderr}`);
  return took;
}
