import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate, type Script } from "../../src/testing/index.ts";
import { asked, idIn, launch, once, results, resume } from "./background.ts";
import { HOLDER, held, hold, letGo } from "./holder.ts";
import { request } from "./other-client.ts";
import { COMPLETE, openStages, type Play, type Stage, textOf } from "./stage.ts";

let stage: Stage;
/** The same, and a goal goes on by itself when OpenCode is started again. */
let resuming: Stage;
/** Beside a plugin whose hook takes its time with what the user writes. */
let slow: Stage;

beforeAll(async () => {
  const options = { no_progress_turns: 0 };
  const goesOn = { options: { ...options, resume_on_start: true } };
  [stage, resuming, slow] = await openStages([{ options }, goesOn, { options, after: [HOLDER] }]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

const UNDONE = "messages are undone here; with the next message they are gone for good, and /redo takes them back";

describe.concurrent("U1 an undo is the user's: nothing of ours makes it final", () => {
  test("a goal waits, and so does the report about its task; taken back, both go on and nothing is lost", async () => {
    const { play, work } = await undoneBesideTask("keeper", [COMPLETE, "Done."]);
    const before = await texts(play);
    await toast("The goal waits for you: messages are undone");
    await work.end();
    await refused(play.goal("status"));
    await toast("State: active", `Now: waits: ${UNDONE} (until you act)`, "Goal: wait for keeper");
    await refused(play.goal("why"));
    await toast(`ago: it waits: ${UNDONE.slice(0, 40)}`);
    await refused(request(stage, "POST", `/session/${play.id}/command`, { command: "tasks", arguments: "" }));
    await toast("Background tasks: 1 completed.", "keeper");
    expect(await texts(play)).toEqual(before);
    await takeBack(stage, play);
    await play.untilGoal("complete");
    expect((await texts(play)).slice(0, before.length)).toEqual(before);
    expect(await play.framed("answer")).toEqual([]);
    const told = (await play.framed("continuation")).join("\n");
    expect(told.match(/"keeper" \(ses_\w+\): completed/g)).toHaveLength(1);
  });

  test("the user's next message makes it final and takes the report along, and the goal goes on after it", async () => {
    const { play, work } = await undoneBesideTask("rider", ["Read.", COMPLETE, "Done."]);
    await work.end();
    await play.say("look elsewhere");
    await play.untilGoal("complete");
    const all = await texts(play);
    expect(all.filter((text) => text.includes("look again") || text === "Looked.")).toEqual([]);
    expect(all.filter((text) => text.includes("look elsewhere"))).toEqual([
      expect.stringMatching(/look elsewhere[\s\S]*"rider" \(ses_\w+\): completed/),
    ]);
    expect(await play.framed("continuation")).toHaveLength(1);
  });

  test("what is undone while his next message is on its way stays so behind its turn, and is waited for", async () => {
    const { play, work } = await besideTask(slow, "crosser", ["Looked on.", COMPLETE, "Done."]);
    hold(slow, ["look further"]);
    const said = play.say("look further");
    await play.until("it is on its way", () => held(slow).length === 1);
    await undo(slow, play);
    letGo(slow);
    await play.until("it is answered", () => play.requests().length === 4);
    await said;
    await play.untilIdle();
    await work.end();
    const before = await texts(play);
    expect(before.slice(-2)).toEqual(["look further", "Looked on."]);
    await refused(play.goal("status"));
    await toastIn(slow, "State: active", `Now: waits: ${UNDONE} (until you act)`);
    expect(await texts(play)).toEqual(before);
    await takeBack(slow, play);
    await play.untilGoal("complete");
    expect((await texts(play)).slice(0, before.length)).toEqual(before);
  });

  test("without a goal a report waits, too, and says so", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("lone")] }, "I wait.", "Read."],
      children: { lone: { text: "lone result", until: gate.opened } },
    });
    await play.say("start lone");
    await play.until("it waits", () => play.requests().length === 2);
    await play.untilIdle();
    await undo(stage, play);
    gate.open();
    await toast("A report about tasks waits for you: messages are undone");
    await refused(play.goal(""));
    await toast("No goal in this session.");
    expect((await texts(play)).length).toBe(3);
    await takeBack(stage, play);
    await play.until("it was told", async () => (await play.framed("task-outcome")).length === 1);
  });

  test("a task in whose session messages are undone is not resumed: its agent is told why", async () => {
    const undone = createGate();
    const play = await stage.play({
      root: [
        { toolCalls: [launch("redone")] },
        "I wait.",
        once(() => undone.opened, resume("redone", "once more")),
        "I do it myself.",
      ],
      children: { redone: ["redone result", "never asked"] },
    });
    await play.say("start redone");
    await play.until("it was told", () => play.requests().length === 3);
    const child = idIn(play.requests().at(-1) ?? { messages: [] }, "redone");
    const [prompt] = await stage.server.messages(child);
    await request(stage, "POST", `/session/${child}/revert`, { messageID: prompt?.info.id });
    undone.open();
    await play.until("it was refused", () => play.requests().length === 4);
    const said = await results(stage, play.id, "background_task");
    expect(said.at(-1)).toContain(
      `The user has undone messages of the task ${child}: another prompt would delete them`,
    );
    expect((await stage.server.messages(child)).map(textOf)).toEqual([
      expect.stringContaining("redone"),
      "redone result",
    ]);
  });
});

test("U1 what was undone before OpenCode was started again stays so, also where a goal goes on by itself", async () => {
  const gate = createGate();
  const held = await resuming.play({
    root: [{ toolCalls: [launch("survivor")] }, "I wait.", "Looked.", COMPLETE, "Done."],
    children: { survivor: { text: "survivor result", until: gate.opened } },
  });
  await held.goal("wait for survivor");
  await held.say("look again");
  await held.until("it has looked", () => held.requests().length === 3);
  await held.untilIdle();
  await undo(resuming, held);
  const before = await texts(held);
  await resuming.restart({ kill: true });
  await resuming.server.client.session.status();
  await held.until("the task is lost", async () => (await held.stored())?.tasks[0]?.status === "lost");
  await refused(held.goal("status"));
  await toastIn(resuming, `Now: waits: ${UNDONE}`);
  expect(await texts(held)).toEqual(before);
  await takeBack(resuming, held);
  await held.untilGoal("complete");
  expect((await texts(held)).slice(0, before.length)).toEqual(before);
});

/** A goal that waits for a task beside which the user has written something, and has undone that. */
async function undoneBesideTask(name: string, then: Extract<Script, readonly unknown[]>) {
  const begun = await besideTask(stage, name, then);
  await undo(stage, begun.play);
  return begun;
}

async function besideTask(on: Stage, name: string, then: Extract<Script, readonly unknown[]>) {
  const gate = createGate();
  const play = await on.play({
    root: [{ toolCalls: [launch(name)] }, "I wait.", "Looked.", ...then],
    children: { [name]: { text: `${name} result`, until: gate.opened } },
  });
  await play.goal(`wait for ${name}`);
  await asked(on, name);
  await play.say("look again");
  await play.until("it has looked", () => play.requests().length === 3);
  await play.untilIdle();
  const end = async () => {
    gate.open();
    await play.until("it has ended", async () => (await play.stored())?.tasks[0]?.status === "completed");
  };
  return { play, work: { end } };
}

/** As the TUI does in an idle session: the user's last message and all that has followed it. */
async function undo(stage: Stage, play: Play): Promise<void> {
  const last = (await play.messages()).findLast(({ info }) => info.role === "user");
  await request(stage, "POST", `/session/${play.id}/revert`, { messageID: last?.info.id });
}

async function takeBack(stage: Stage, play: Play): Promise<void> {
  await request(stage, "POST", `/session/${play.id}/unrevert`);
}

async function texts(play: Play): Promise<string[]> {
  return (await play.messages()).map(textOf);
}

async function toast(...said: readonly string[]): Promise<void> {
  await toastIn(stage, ...said);
}

async function toastIn(stage: Stage, ...said: readonly string[]): Promise<void> {
  await stage.server.events.waitFor(({ type, properties }) => {
    return type === "tui.toast.show" && said.every((words) => String(properties.message).includes(words));
  });
}

/** A command that is answered without a turn fails where it was said. */
async function refused(said: Promise<unknown>): Promise<void> {
  await said.catch(() => undefined);
}
