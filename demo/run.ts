import { setTimeout as pause } from "node:timers/promises";
import type { IsolatedOpencode, OpencodeServer, ScriptedModel } from "../src/testing/index.ts";
import { Timeline, type TimelineLine } from "../src/trace/timeline.ts";
import { audit } from "./books.ts";
import { Follower } from "./follow.ts";
import type { Scenario } from "./scenario.ts";
import type { Screen } from "./screen.ts";

/** Something did not happen in time, or OpenCode said no; what there is to read comes with it. */
export class DemoFailure extends Error {
  override readonly name = "DemoFailure";
}

export interface Stage {
  readonly opencode: IsolatedOpencode;
  /** Answers for the agent, or, with a model of the user's own, for the task that fails. */
  readonly model: ScriptedModel;
  readonly isScripted: boolean;
  readonly scenario: Scenario;
  /** The directory of the traces. */
  readonly traces: string;
  readonly screen: Screen;
  /** The URL of the folder that OpenCode has loaded the plugin from. */
  readonly plugin: string;
}

const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
/** A busy machine is slow; whoever watches may end it sooner. */
const STARTS_WITHIN_MS = 2 * 60_000;
/** How long the goal is seen waiting before OpenCode is killed. */
const WATCH_WAIT_MS = 2_500;

/** @returns whether the goal completed and the books balance. @throws DemoFailure */
export async function run(stage: Stage): Promise<boolean> {
  const { opencode, model, isScripted, scenario, screen } = stage;
  const first = await opencode.serve({ readyTimeoutMs: STARTS_WITHIN_MS });
  const { id } = await first.createSession({ title: "goalkeeper demo" });
  const follower = follow(stage, id);
  const command = startGoal(first, id, scenario.objective);

  const arrived = await follower.until(
    () => command.refusal !== undefined || waitsForTheLast(follower),
    scenario.firstPartMs,
  );
  if (command.refusal !== undefined) fail(`OpenCode refused the goal: ${command.refusal}`, stage, follower);
  if (!arrived) fail("the goal did not come to wait for its last task", stage, follower);
  const asked = model.requests.length;
  await follower.until(() => false, WATCH_WAIT_MS);
  const burnt = model.requests.length - asked;

  screen.say(`The demo kills OpenCode now (kill -9, process ${first.pid}), while the last task works …`);
  await first.kill();
  follower.read();
  await pause(500);
  const second = await opencode.serve({ readyTimeoutMs: STARTS_WITHIN_MS });
  screen.say(`… and has started it again on the same data (process ${second.pid}).`);
  // OpenCode loads a directory's plugins with the first request for it.
  const { error } = await second.client.session.get({ path: { id } });
  if (error !== undefined) fail("the session is gone after the restart", stage, follower);

  const isOver = () => follower.goal !== undefined && follower.goal !== "active" && !follower.rootBusy;
  if (!(await follower.until(isOver, scenario.secondPartMs))) fail("the goal did not end", stage, follower);
  await follower.until(() => false, 500);

  const children = await second.children(id);
  const sessions = await Promise.all(
    children.map(async ({ id, title }) => ({ id, title, messages: await second.messages(id) })),
  );
  const books = audit(await second.messages(id), sessions, await second.metadata(id));
  const checks = [...books.checks];
  if (isScripted)
    checks.push({ what: `no model request was made while the goal waited (${burnt})`, holds: burnt === 0 });
  for (const failure of model.failures) checks.push({ what: `the script fits: ${failure.error}`, holds: false });
  const balances = checks.every(({ holds }) => holds);
  screen.summary(books, checks);
  screen.outro(balances, follower.file ?? stage.traces, stage.plugin);
  return balances;
}

function follow({ traces, screen }: Stage, rootID: string): Follower {
  const story = new Timeline();
  const show = (lines: readonly TimelineLine[]): void => {
    for (const line of lines) screen.line(line);
  };
  return new Follower(
    traces,
    rootID,
    (record) => show(story.add(record)),
    () => show(story.flush(Date.now())),
  );
}

/** As a user does it. The answer comes with the end of the turn, or never: the process is killed. */
function startGoal(server: OpencodeServer, id: string, objective: string): { refusal: string | undefined } {
  const state: { refusal: string | undefined } = { refusal: undefined };
  server.client.session.command({ path: { id }, body: { command: "goal", arguments: objective } }).then(
    ({ error }) => {
      if (error !== undefined) state.refusal = JSON.stringify(error);
    },
    () => undefined,
  );
  return state;
}

function waitsForTheLast(follower: Follower): boolean {
  const tasks = [...follower.tasks.values()];
  const settled = tasks.filter((task) => ENDED.has(task.status) && task.delivery === "reconciled");
  return tasks.length === 3 && settled.length === 2 && !follower.rootBusy;
}

function fail(what: string, { opencode, traces }: Stage, follower: Follower): never {
  const complaints = opencode
    .readLog()
    .split("\n")
    .filter((line) => /level=(ERROR|WARN)/.test(line));
  const log = complaints.slice(-5).map((line) => `  ${line.slice(0, 400)}`);
  throw new DemoFailure([what, ...log, `Trace: ${follower.file ?? traces}`].join("\n"));
}
