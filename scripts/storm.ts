// npm run storm -- [--stories 20] [--kills 4] [--acts 0] [--goals 3] [--seed 1]
//
// Plays stories on the real OpenCode: goals with launched and native tasks, in a process that is killed (SIGKILL and
// SIGTERM) at random moments and started again, and, with --acts, that users and other plugins meddle with. In the end every
// goal is complete, each task was told once, and no message of ours is empty or doubled. A story that fails leaves a file
// with its transcripts and traces; its seed plays it again, at moments that are nearly the same.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { playStory } from "./storm/story.ts";

const USAGE = "npm run storm -- [--stories 20] [--kills 4] [--acts 0] [--goals 3] [--seed 1]";
/** On any machine: a story that takes longer has got stuck. */
const LIMIT_MS = 180_000;

const { stories, kills, acts, goals, seed } = readArguments();
const scratch = mkdtempSync(join(tmpdir(), "goalkeeper-storm-"));
const reports = join(scratch, "reports");
mkdirSync(reports);
// A killed OpenCode leaves unpacked libraries behind, and everything that it does goes there.
process.env.TMPDIR = join(scratch, "tmp");
mkdirSync(process.env.TMPDIR);
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => {
    console.log(`\nStopped.\n${tally()}\n${kept()}`);
    process.exit(code);
  });
}

const total = { stories: 0, failed: 0, kills: 0, acts: 0, tasks: 0, torn: 0 };
for (let story = 1; story <= stories; story++) {
  const own = seed * 1_000 + story;
  const startedAt = Date.now();
  const result = await playStory({ seed: own, kills, acts, goals, limitMs: LIMIT_MS });
  total.stories++;
  for (const key of ["kills", "acts", "tasks", "torn"] as const) total[key] += result[key];
  const seconds = ((Date.now() - startedAt) / 1_000).toFixed(0);
  const figures = `${result.kills} kills, ${result.acts} acts, ${result.tasks} tasks, ${result.torn} torn`;
  console.log(`story ${story}/${stories}, seed ${seed}: ${figures}, ${seconds} s`);
  if (result.breaches.length === 0) continue;
  total.failed++;
  const file = join(reports, `seed-${seed}-story-${story}.txt`);
  writeFileSync(file, result.report);
  for (const breach of result.breaches) console.log(`  FAILED ${breach}`);
  console.log(`  ${file}`);
}

console.log(`\n${tally()}`);
const left = kept();
if (left !== "") console.log(left);
process.exitCode = total.failed === 0 ? 0 : 1;

function tally(): string {
  const { stories: played, failed, ...counts } = total;
  const each = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  return `${played} stories with seed ${seed}: ${failed} failed; ${each.join(", ")}.`;
}

/** Leaves nothing behind but the reports of what has failed, and says where they are. */
function kept(): string {
  const hasFailed = readdirSync(reports).length > 0;
  rmSync(hasFailed ? join(scratch, "tmp") : scratch, { recursive: true, force: true });
  return hasFailed ? `What has failed left its transcripts in ${reports}.` : "";
}

function readArguments(): Record<"stories" | "kills" | "acts" | "goals" | "seed", number> {
  const option = (value: string) => ({ type: "string", default: value }) as const;
  try {
    const { values } = parseArgs({
      options: {
        stories: option("20"),
        kills: option("4"),
        acts: option("0"),
        goals: option("3"),
        seed: option("1"),
      },
    });
    const number = (name: keyof typeof values) => {
      const value = values[name];
      if (!/^\d+$/.test(value)) return fail(`--${name} takes a whole number, and not "${value}".`);
      return Number(value);
    };
    const read = { kills: number("kills"), acts: number("acts"), seed: number("seed") };
    const [played, pursued] = [number("stories"), number("goals")];
    if (played === 0 || pursued === 0) fail("0 stories, or stories without a goal, are none.");
    return { ...read, stories: played, goals: pursued };
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(message: string): never {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}
