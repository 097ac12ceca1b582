import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createGate } from "../../src/testing/index.ts";
import { asked, expectSilence, launches, untilAnswered, untilStatus, untilTurn, warmUp } from "./background.ts";
import { openStages, type Play, type Stage } from "./stage.ts";

let stage: Stage;
/** A user with a command of that name. */
let taken: Stage;

beforeAll(async () => {
  const command = { tasks: { template: "what is there to do?", description: "mine" } };
  const options = { max_concurent_tasks: 2, on_interrupt: "stop", stale_task_seconds: "10" };
  [stage, taken] = await openStages([{ options: { max_concurrent_tasks: 2 } }, { options, config: { command } }]);
  await warmUp(stage);
});

afterAll(() => stage[Symbol.asyncDispose]());

/** As the TUI does. */
async function tasks({ id }: Play, args: string, { server } = stage): Promise<void> {
  await server.client.session.command({ path: { id }, body: { command: "tasks", arguments: args } });
}

function toasts(words: string, { server } = stage): Promise<unknown> {
  return server.events.waitFor(
    ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes(words),
  );
}

describe("/tasks on the real OpenCode", () => {
  test("shows an idle session its tasks without a model request, and no model ever reads it", async () => {
    const gate = createGate();
    const names = ["shown one", "shown two", "shown three"];
    const play = await stage.play({
      root: [...launches(names), "Waiting.", "I have read them.", "You are welcome."],
      children: { shown: { text: "well done", until: gate.opened } },
    });
    await play.say("begin");
    await untilTurn(play, 4);
    await play.untilIdle();
    await Promise.all(names.slice(0, 2).map((name) => asked(stage, name)));
    await tasks(play, "");
    const [board, ...more] = await play.framed("answer");
    expect(more).toEqual([]);
    expect(board).toContain("Background tasks: 2 running, 1 queued.\n");
    expect(board).toMatch(
      /^1\. "shown one" \(general, scripted\/model, ses_\w+\)\n {3}running for [\d.]+s, last sign/m,
    );
    expect(board).toMatch(/^3\. "shown three" .*\n {3}queued for [\d.]+s, 1st in the queue for scripted\/model$/m);
    await expectSilence(play);
    expect(play.requests()).toHaveLength(4);
    gate.open();
    await untilAnswered(stage, play, 3);
    await play.untilIdle();
    await tasks(play, "");
    expect((await play.framed("answer")).at(-1)).toMatch(/\n {3}completed after .*, the agent was told, /);
    await play.say("thanks");
    expect(JSON.stringify(play.requests().at(-1)?.messages)).not.toContain('shown three\\" (general');
  });

  test("while the agent works it is a toast, and costs no request", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [...launches(["beside"]), { text: "Slow.", until: gate.opened }, "I have read it."],
      children: { beside: { text: "well done", until: gate.opened } },
    });
    const turn = play.say("begin");
    await untilTurn(play, 2);
    await asked(stage, "beside");
    await tasks(play, "");
    await toasts("1. beside: running");
    expect(await play.framed("answer")).toEqual([]);
    gate.open();
    await turn;
    await untilAnswered(stage, play, 1);
    expect(play.requests()).toHaveLength(3);
  });

  test("cancel ends one by its number, or all, while the root is idle; the agent is told once", async () => {
    const names = ["ended one", "ended two", "ended three"];
    const play = await stage.play({
      root: [...launches(names), "Waiting.", "I see.", "I see."],
      children: { ended: { hang: true } },
    });
    await play.say("begin");
    await untilTurn(play, 4);
    await play.untilIdle();
    await tasks(play, "");
    await tasks(play, "cancel 2");
    const { id, outcome } = { outcome: undefined, ...(await untilStatus(stage, play, "ended two", "cancelled")) };
    expect(outcome).toMatchObject({ reason: "the user cancelled it" });
    await stage.model.waitForRequest((request) => request.sessionID === id && request.state === "disconnected");
    await untilTurn(play, 5);
    await play.untilIdle();
    await tasks(play, "cancel all");
    expect((await untilAnswered(stage, play, 3)).map(({ status }) => status)).toEqual(names.map(() => "cancelled"));
    const told = await play.framed("task-outcome");
    for (const name of names) expect(told.join("\n").split(`"${name}" (`)).toHaveLength(2);
    await expectSilence(play);
  });

  test("cancel works while the agent is at work, too", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [...launches(["in between"]), { text: "Slow.", until: gate.opened }, "I see."],
      children: { "in between": { hang: true } },
    });
    const turn = play.say("begin");
    await untilTurn(play, 2);
    await asked(stage, "in between");
    await tasks(play, "cancel all");
    await toasts('Cancelled: "in between".');
    await untilStatus(stage, play, "in between", "cancelled");
    gate.open();
    await turn;
    await untilAnswered(stage, play, 1);
  });

  test("shell and file syntax in what is said runs nothing, and changes nothing", async () => {
    const marker = join(stage.opencode.directory, "pwned-by-tasks");
    const play = await stage.play(["Never asked."]);
    await tasks(play, `cancel !\`touch ${marker}\` @/etc/passwd $ARGUMENTS $1`);
    await toasts("was not understood, and nothing was changed");
    expect(existsSync(marker)).toBe(false);
    await expectSilence(play);
    expect(play.requests()).toEqual([]);
  });
});

test("a command of the user's own with that name is left alone, and the log says so", async () => {
  const play = await taken.play(["There is much to do."]);
  await tasks(play, "", taken);
  await untilTurn(play, 1);
  expect(play.requests()[0]?.lastUserText).toContain("what is there to do?");
  expect(await taken.opencode.readLog()).toContain("The command /tasks is taken by you");
});

test("three bad options are one toast that names them, and a line of the log for each", async () => {
  await toasts(
    '3 options are ignored: max_concurent_tasks (did you mean "max_concurrent_tasks"?), on_interrupt, stale_task_seconds.',
    taken,
  );
  const warned = taken.server.events.all.filter(
    ({ type, properties }) => type === "tui.toast.show" && properties.variant === "warning",
  );
  expect(warned).toHaveLength(1);
  const log = await taken.opencode.readLog();
  for (const words of ["max_concurent_tasks", "on_interrupt", "stale_task_seconds"])
    expect(log.split("\n").some((line) => line.includes("goalkeeper:") && line.includes(words))).toBe(true);
});
