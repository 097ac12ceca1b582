import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Reply } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { request } from "./other-client.ts";
import { COMPLETE, openStages, type Play, type Stage, task } from "./stage.ts";

type Kind = "question" | "permission";

/** What the stage's configuration makes OpenCode ask about. */
const BASH = { name: "bash", args: { command: "echo asked", description: "asks" } };
/** How OpenCode says it to whoever waits for the task. */
const REJECTED: Readonly<Record<Kind, string>> = {
  question: "The user dismissed this question",
  permission: "The user rejected permission",
};

let stage: Stage;

beforeAll(async () => {
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  // Without a ceiling /goal resume lets the tasks go that hold the goal back: then only what they ask can.
  const options = { missing_task_grace_seconds: 1, no_progress_turns: 0, max_task_block_seconds: 0 };
  [stage] = await openStages([{ options, config: { permission } }]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

describe.concurrent("a question or a permission that is open holds the goal (G6)", () => {
  test("a question in the main session: toast and status name it, and the answer lets the goal go on", async () => {
    const play = await stage.play([{ toolCalls: [question("the door")] }, "It is blue.", COMPLETE, "Done."]);
    const started = play.goal("ask for a colour");
    const ask = await asked(play, "question");
    await toast("The goal waits for you: a question is open: the door");
    // The session works: there is no other place for the answer.
    await refused(play.goal("status"));
    await toast(
      "Goal: ask for a colour",
      "waits: a question is open in this session: the door: Red or blue? (until you act)",
    );
    expect(play.requests()).toHaveLength(1);
    await answer(ask, "question");
    await started;
    await play.untilGoal("complete");
    expect(toasts("The goal waits for you", "the door")).toHaveLength(1);
    expect(await play.framed("continuation")).toHaveLength(1);
  });

  for (const kind of ["question", "permission"] as const) {
    test(`a ${kind} in a background task: nothing continues until it is answered, although /goal resume lets the task go`, async () => {
      const name = `${kind}er`;
      const play = await playAsking(name, kind, ["Read.", COMPLETE, "Done."]);
      const ask = await asked(play, kind);
      expect(ask.sessionID).not.toBe(play.id);
      const open = `a ${kind} is open in "${name}": ${about(name, kind)}`;
      await toast(`The goal waits for you: ${open}`);
      await play.untilIdle();
      await refused(play.goal("status"));
      expect((await play.framed("answer")).at(-1)).toContain(`${open} (until you act)`);
      await refused(play.goal("resume"));
      expect((await play.framed("answer")).at(-1)).toContain(`Goal resumed: it waits: ${open} (until you act).`);
      await Bun.sleep(1_000);
      expect(await play.framed("continuation")).toEqual([]);
      expect(play.requests()).toHaveLength(2);
      await answer(ask, kind);
      const { tasks } = await play.untilGoal("complete");
      expect(tasks).toMatchObject([{ status: "completed" }]);
      expect(toasts("The goal waits for you", `"${name}"`)).toHaveLength(1);
    });

    test(`a ${kind} that is rejected in a background task fails the task, and the goal goes on with that`, async () => {
      const name = `${kind}-refuser`;
      const play = await playAsking(name, kind, ["I do it myself.", COMPLETE, "Done."]);
      await reject(await asked(play, kind), kind);
      const { goal, tasks } = await play.untilGoal("complete");
      expect(goal).toMatchObject({ failures: 0 });
      expect(JSON.stringify(tasks)).toContain(REJECTED[kind]);
      expect(tasks).toMatchObject([{ status: "failed" }]);
      const told = (await play.prompts()).filter((text) => text.includes(REJECTED[kind]));
      expect(told).toHaveLength(1);
    });
  }

  test("a permission that is rejected in a launched task fails it, and the agent is not told that it got lost", async () => {
    const name = "launched-refuser";
    const play = await stage.play({
      root: [{ toolCalls: [launch(name)] }, "I wait.", "I do it myself.", COMPLETE, "Done."],
      children: { [name]: [{ toolCalls: [BASH] }, `${name} result`] },
    });
    await play.goal(`wait for ${name}`);
    await reject(await asked(play, "permission"), "permission");
    const { tasks } = await play.untilGoal("complete");
    expect(tasks).toMatchObject([{ status: "failed" }]);
    const told = (await play.prompts()).join("\n");
    expect(told).toContain("failed: the user rejected a permission that it asked for");
    expect(told).not.toContain("LOST");
  });

  test("a question whose task is aborted holds nothing any more, although OpenCode does not take it back", async () => {
    const play = await playAsking("dropped", "question", ["I do it myself.", COMPLETE, "Done."]);
    const { id, sessionID } = await asked(play, "question");
    await stage.server.abort(sessionID);
    await play.until("it is cancelled", async () => (await play.stored())?.tasks[0]?.status === "cancelled");
    await play.untilGoal("complete");
    const closed = stage.server.events.all.filter(({ properties }) => properties.requestID === id);
    expect(closed).toEqual([]);
  });

  test("what is asked where no goal would go on is shown by OpenCode alone", async () => {
    const play = await playAsking("stranger", "question", ["Read."], (asking) => asking.say("ask for a colour"));
    await answer(await asked(play, "question"), "question");
    await play.until("the report was answered", () => play.requests().length === 3);
    expect(toasts("The goal waits for you", '"stranger"')).toEqual([]);
  });
});

// One after the other: the toast does not say in which session it was.
describe("what the user rejects in the main session pauses the goal (G6)", () => {
  for (const [kind, call] of [
    ["question", question("the gate")],
    ["permission", BASH],
  ] as const) {
    test(`a ${kind}: it says so, sends nothing more, and goes on with /goal resume`, async () => {
      const said = () => toasts("Goal paused by you. /goal resume goes on.").length;
      const before = said();
      const play = await stage.play([{ toolCalls: [call] }, COMPLETE, "Done."]);
      const started = refused(play.goal(`be refused a ${kind}`));
      await reject(await asked(play, kind), kind);
      const { goal } = await play.untilGoal("paused");
      expect(goal).toMatchObject({ by: "user", reason: `you rejected a ${kind}` });
      await play.until("a toast has said so", () => said() === before + 1);
      await started;
      await Bun.sleep(700);
      expect(play.requests()).toHaveLength(1);
      await refused(play.goal("resume"));
      await play.untilGoal("complete");
    });
  }
});

/** A goal whose background task asks. `name`: of the task, and of what its question is about. */
async function playAsking(
  name: string,
  kind: Kind,
  rest: readonly Reply[],
  start = (play: Play) => play.goal(`wait for ${name}`),
): Promise<Play> {
  const call = kind === "question" ? question(`colour of ${name}`) : BASH;
  const play = await stage.play({
    root: [{ toolCalls: [task(name)] }, "I wait.", ...rest],
    children: { [name]: [{ toolCalls: [call] }, `${name} result`] },
  });
  await start(play);
  return play;
}

function question(header: string) {
  const options = ["Red", "Blue"].map((label) => ({ label, description: label }));
  return { name: "question", args: { questions: [{ header, question: "Red or blue?", options }] } };
}

function about(name: string, kind: Kind): string {
  return kind === "question" ? `colour of ${name}: Red or blue?` : `bash: ${BASH.args.command}`;
}

interface Asked {
  readonly id: string;
  readonly sessionID: string;
}

/** What OpenCode asks in this session, or in a child of it. */
async function asked(play: Play, kind: Kind): Promise<Asked> {
  const isHere = (sessionID: unknown) =>
    stage.model.requests.some(
      (made) => made.sessionID === sessionID && (made.parentSessionID ?? made.sessionID) === play.id,
    );
  const event = await stage.server.events.waitFor(
    ({ type, properties }) => type === `${kind}.asked` && isHere(properties.sessionID),
  );
  return event.properties as unknown as Asked;
}

async function answer({ id, sessionID }: Asked, kind: Kind): Promise<void> {
  if (kind === "question") await request(stage, "POST", `/question/${id}/reply`, { answers: [["Blue"]] });
  else await request(stage, "POST", `/session/${sessionID}/permissions/${id}`, { response: "once" });
}

async function reject({ id, sessionID }: Asked, kind: Kind): Promise<void> {
  if (kind === "question") await request(stage, "POST", `/question/${id}/reject`, {});
  else await request(stage, "POST", `/session/${sessionID}/permissions/${id}`, { response: "reject" });
}

/** All toasts that have these words. */
function toasts(...words: readonly string[]): string[] {
  return stage.server.events.all.flatMap(({ type, properties }) =>
    type === "tui.toast.show" && words.every((word) => String(properties.message).includes(word))
      ? [String(properties.message)]
      : [],
  );
}

async function toast(...words: readonly string[]): Promise<void> {
  await stage.server.events.waitFor(
    ({ type, properties }) =>
      type === "tui.toast.show" && words.every((word) => String(properties.message).includes(word)),
  );
}

/** A command that is answered without a turn ends in an error, on purpose. */
async function refused(call: Promise<unknown>): Promise<void> {
  await call.catch(() => {});
}
