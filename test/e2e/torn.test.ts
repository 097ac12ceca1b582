/** A process that dies between a message's row and its parts; and what of a root is read before it is believed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { type HeldPrompt, HOLDER, held, hold, killTorn, rewrite } from "./holder.ts";
import { COMPLETE, openStages, type Play, type Stage, task, textOf } from "./stage.ts";

const HANG = { hang: true };

const reports = createGate();
let stage: Stage;
let continuation: Play;
let native: Play;
let first: Play;
let command: Play;
let spoken: Play;
let late: Play;

beforeAll(async () => {
  [stage] = await openStages([{ options: { resume_on_start: true, missing_task_grace_seconds: 1 }, after: [HOLDER] }]);
  hold(stage, [
    "Go on towards the goal: lose the continuation",
    "Background task completed: native",
    "first: do your part",
    "<objective>\nlose the command",
    "lose these words",
  ]);
  [continuation, native, first, command, spoken, late] = await Promise.all([
    stage.play({
      root: [{ toolCalls: [launch("carried")] }, "Waiting.", COMPLETE, "Done."],
      children: { carried: "carried result" },
    }),
    stage.play({
      root: [{ toolCalls: [task("native")] }, "Waiting.", COMPLETE, "Done."],
      children: { native: { text: "native result", until: reports.opened } },
    }),
    stage.play({
      root: [{ toolCalls: [launch("first")] }, "Waiting.", COMPLETE, "Done."],
      children: { first: "first result" },
    }),
    stage.play([COMPLETE, "Done."]),
    stage.play({ root: [{ toolCalls: [launch("carried along")] }, HANG, "I see."], children: { "*": HANG } }),
    stage.play({
      root: [{ toolCalls: [launch("answered")] }, "Waiting.", "I have read it.", HANG, COMPLETE, "Done."],
      children: { answered: "answered result" },
    }),
  ]);
  const begun = [
    continuation.goal("lose the continuation"),
    native.goal("lose the report"),
    first.goal("lose a prompt"),
  ];
  void command.goal("lose the command").catch(ignore);
  await Promise.all([...begun, playSpoken(), playLate()]);
  await continuation.until("every prompt is held back", () => held(stage).length >= 4);
  reports.open();
  await native.until("the report is held back", () => held(stage).length >= 5);
  await killTorn(stage);
  rewrite(stage, native.id, (stored) => ({ ...stored, tasks: stored.tasks.map(taken) }));
  rewrite(stage, late.id, (stored) => ({ ...stored, tasks: stored.tasks.map((stub) => unanswered(stub, answeredBy)) }));
  await stage.restart();
});

afterAll(() => stage[Symbol.asyncDispose]());

test("a continuation is composed again and goes out under the same id, with what it carries (M10)", async () => {
  const { messageID } = lostIn(continuation);
  await continuation.untilGoal("complete");
  const messages = await continuation.messages();
  expect(textOf(messages.find(({ info }) => info.id === messageID) ?? NONE)).toContain("carried result");
  expect(await continuation.framed("continuation")).toHaveLength(1);
  expect(await empty(continuation)).toEqual([]);
  expectToldOnce(await continuation.prompts(), "carried result");
});

test("a report of OpenCode's that is lost with its text is told by us (M10, D6)", async () => {
  await native.untilGoal("complete");
  expectToldOnce(await native.prompts(), "native result");
});

test("a task gets its first prompt under the same id (M10)", async () => {
  await first.untilGoal("complete");
  const [prompt, ...more] = held(stage).filter(({ said }) => said.startsWith("first:"));
  expect(more).toEqual([]);
  const messages = await stage.server.messages(prompt?.sessionID ?? "");
  expect(messages.map(({ info }) => info.role)).toEqual(["user", "assistant"]);
  expect(messages[0]?.info.id).toBe(prompt?.messageID ?? "");
  expect(messages.map(textOf)).toEqual(["first: do your part", "first result"]);
  expectToldOnce(await first.prompts(), "first result");
});

test("a goal whose own command is lost with its text is pursued by its continuations (M10)", async () => {
  await command.untilGoal("complete");
  expect(await command.framed("continuation")).toHaveLength(1);
  expect(toasts().join("\n")).not.toContain(command.id);
});

test("the user hears that a message was lost, and what it took along is told again (M10)", async () => {
  const isSaid = () => toasts().includes("Your last message was lost when OpenCode stopped. Write it again.");
  await spoken.until("the user is told", isSaid);
  await spoken.until("what it took along is told", async () => (await spoken.framed("task-outcome")).length === 1);
  const said = await spoken.framed("task-outcome");
  expect(said[0]).toContain("cancelled");
  await spoken.untilIdle();
  expect(toasts().filter((message) => message.startsWith("Your last message was lost"))).toHaveLength(1);
});

test("an outcome that was told and answered holds nothing, although the write of the answer came too late", async () => {
  await late.untilGoal("complete");
  const prompts = await late.prompts();
  expect(prompts.join("\n")).not.toContain("reported above");
  expectToldOnce(prompts, "answered result");
});

test("no model is prompted with an empty text", () => {
  const turns = stage.model.requests.filter(({ kind }) => kind === "turn");
  expect(turns.filter(({ lastUserText }) => lastUserText.trim() === "")).toEqual([]);
});

const NONE = { info: { id: "" }, parts: [] } as unknown as Parameters<typeof textOf>[0];
/** The continuation with which {@link late} was told, and which was answered. */
let answeredBy = "";

/** The task is cancelled with the turn; how it ended goes along with the user's next message, which is held back. */
async function playSpoken(): Promise<void> {
  void spoken.goal("lose what the user says").catch(ignore);
  await spoken.until("the agent works", () => spoken.requests().length === 2);
  await spoken.abort();
  await spoken.untilGoal("paused");
  await spoken.until("the task is cancelled", async () => (await spoken.stored())?.tasks[0]?.status === "cancelled");
  void spoken.say("lose these words").catch(ignore);
}

async function playLate(): Promise<void> {
  await late.goal("lose the last write");
  await late.until("the agent has answered and goes on", () => late.requests().length === 4);
  answeredBy = (await late.messages()).find((message) => textOf(message).includes("answered result"))?.info.id ?? "";
}

type Stub = NonNullable<Awaited<ReturnType<Play["stored"]>>>["tasks"][number];

/** The books have heard of the report before OpenCode has stored it, and it may be written down by then. */
function taken({ id, parentID, rootID, origin, title, createdAt, run, runner }: Stub): Stub {
  const { messageID } = lostIn(native);
  const at = Date.now();
  const delivery = { state: "delivered", sessionID: rootID, messageID, at, byTurn: false } as const;
  const task = { id, parentID, rootID, origin, title, createdAt, run, runner };
  return { ...task, status: "completed", endedAt: at, outcome: {}, delivery };
}

/** As it stood before the answer was written down. */
function unanswered(stub: Stub, messageID: string): Stub {
  if (!("delivery" in stub)) throw new Error("unreachable: it has ended");
  const delivery = { state: "delivered", sessionID: late.id, messageID, at: stub.endedAt, byTurn: false } as const;
  return { ...stub, delivery };
}

function lostIn({ id }: Play): HeldPrompt {
  const found = held(stage).find(({ sessionID }) => sessionID === id);
  if (found === undefined) throw new Error(`nothing was held back in ${id}`);
  return found;
}

async function empty(play: Play): Promise<string[]> {
  const messages = await play.messages();
  return messages
    .filter((message) => message.info.role === "user" && textOf(message) === "")
    .map(({ info }) => info.id);
}

function toasts(): string[] {
  return stage.server.events.all
    .filter(({ type }) => type === "tui.toast.show")
    .map(({ properties }) => String(properties.message));
}

function expectToldOnce(prompts: readonly string[], result: string): void {
  expect(prompts.filter((text) => text.includes(result))).toHaveLength(1);
}

function ignore(): void {
  // The process that would have answered was killed.
}
