/** X5 on random stories: what the recorder has written of one, with and without texts, makes a keeper do the same again. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { HostIds } from "../../src/host/message-id.ts";
import { readTrace } from "../../src/trace/read.ts";
import { createRecorder, type Recorder } from "../../src/trace/recorder.ts";
import { type ReplayedLife, replay } from "../../src/trace/replay.ts";
import { act, begin, chaos, launches, pursuits, runs } from "./actions.ts";
import { configOf, pursuing, running, type Story, story } from "./story.ts";
import { World } from "./world.ts";

const scratch = mkdtempSync(join(tmpdir(), "replay-test-"));
const drawn = HostIds.prototype.message;
let draws = 0;

/** Those of the model can be made again. These cannot: a replay has to take them from the trace, as it does in life. */
beforeAll(() => {
  HostIds.prototype.message = function (after) {
    return `${drawn.call(this, after).slice(0, -6)}${`${++draws}`.padStart(6, "0")}`;
  };
});
afterAll(() => {
  HostIds.prototype.message = drawn;
  rmSync(scratch, { recursive: true, force: true });
});

let stories = 0;

/** Lives a story, and replays what two recorders have written of it. */
async function replayed({ actions, variant }: Story): Promise<readonly ReplayedLife[]> {
  const directory = join(scratch, `${++stories}`);
  const world = new World({ config: configOf(variant) });
  record(world, directory);
  await begin(world, variant.hasGoal);
  for (const action of actions) await act(world, action);
  await world.clock.advance(200_000);
  const lives = [false, true].flatMap((withText) => {
    const folder = join(directory, `${withText}`);
    return readdirSync(folder).flatMap((file) => {
      const { records, torn, unknown } = readTrace(readFileSync(join(folder, file), "utf8"));
      expect({ torn, unknown }).toEqual({ torn: 0, unknown: 0 });
      return replay(records);
    });
  });
  rmSync(directory, { recursive: true });
  return lives;
}

/** Each life has recorders of its own, as each process has. */
function record(world: World, directory: string): void {
  let recorders: readonly Recorder[] = [];
  let lives = 0;
  const observed = world.book.observed.bind(world.book);
  world.book.observed = (observation) => {
    if (lives !== world.lives.length) {
      lives = world.lives.length;
      recorders = [false, true].map((withText) =>
        createRecorder({
          directory: join(directory, `${withText}`),
          clock: world.clock,
          withText,
          log: (_level, said, extra) => expect(`${said} ${JSON.stringify(extra)}`).toBe(""),
          pid: lives,
        }),
      );
    }
    for (const recorder of recorders) recorder.observe(observation);
    observed(observation);
  };
}

const times = Number(process.env.GOALKEEPER_RUNS ?? 1);

test.each([
  ["chaos", story(chaos, 30), 40],
  ["launches", story(launches, 30), 70],
  ["pursuits", story(pursuits, 30, pursuing), 40],
  ["opencode run", story(runs, 30, running), 40],
] as const)(
  "X5 replaying a trace yields the same transitions and decisions: %s",
  async (_name, drawn, numRuns) => {
    let [records, transitions, decisions] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(drawn, async (told) => {
        for (const life of await replayed(told)) {
          expect({ stopped: life.stopped, differences: life.differences }).toEqual({
            stopped: undefined,
            differences: [],
          });
          records += life.records;
          transitions += life.transitions;
          decisions += life.decisions;
        }
      }),
      { numRuns: numRuns * times, ...(times === 1 ? { seed: 20_261_121 } : {}) },
    );
    expect(Math.min(records, transitions, decisions)).toBeGreaterThan(numRuns);
  },
  600_000,
);
