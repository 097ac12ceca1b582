import { expect, test } from "bun:test";
import type { Options } from "../../src/options.ts";
import { createGoal } from "../../src/tools/create-goal.ts";
import { VOICE } from "../support/builders.ts";
import { Desk } from "./desk.ts";

/** What the model is told when it sets a goal in the middle of its turn, and what has become of that goal. */
async function sets(options: Partial<Options>, agent = "build"): Promise<{ said: string; status: string | undefined }> {
  const desk = await Desk.open(options);
  const { keeper, root } = desk;
  const event = { type: "user-message", sessionID: root, messageID: "msg_z", voice: { ...VOICE, agent } } as const;
  keeper.dispatch({ type: "host", event });
  const tool = createGoal(desk.goalTools());
  const call = { sessionID: root, messageID: "msg_call", agent };
  const answer = tool.execute({ objective: "fix it" }, call);
  await desk.pass();
  const said = String(await answer);
  return { said, status: keeper.goal(root)?.status };
}

test("a goal that goes on is continued", async () => {
  const { said, status } = await sets({});
  expect(said).toContain("you are continued turn after turn");
  expect(status).toBe("active");
});

test("with auto_continue off the model is not told that it is continued", async () => {
  const { said, status } = await sets({ auto_continue: false });
  expect(said).toContain("you are not continued after it: auto_continue is off");
  expect(status).toBe("active");
});

test("on a version of OpenCode on which no goal can be pursued none is set, and the model is told why (U13)", async () => {
  const desk = await Desk.open();
  const tool = createGoal({ ...desk.goalTools(), hostProblem: async () => "this is OpenCode 1.18.3" });
  const said = await tool.execute(
    { objective: "fix it" },
    { sessionID: desk.root, messageID: "msg_1", agent: "build" },
  );
  expect(said).toBe("No goal was set: this is OpenCode 1.18.3. Tell the user that, and do not try again.");
  expect(desk.keeper.goal(desk.root)).toBeUndefined();
});

test("an agent that cannot end a goal is told that it is paused, and why", async () => {
  const { said, status } = await sets({}, "helpless");
  expect(status).toBe("paused");
  expect(said).toContain('the agent "helpless" may not call update_goal');
});

test("in an agent that pursues no goals the model is told that it is paused, and what the user has to do", async () => {
  const { said, status } = await sets({}, "plan");
  expect(status).toBe("paused");
  expect(said).toContain("switch the agent and write a message first");
  expect(said).not.toContain("you are continued");
});
