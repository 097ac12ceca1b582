import { beforeEach, describe, expect, test } from "bun:test";
import { readFrame } from "../../src/delivery/frame.ts";
import { AgentJudge } from "../../src/host/agent-judge.ts";
import { CommandAnswered } from "../../src/host/command.ts";
import { executeGoalCommand } from "../../src/host/goal-command.ts";
import { HostIds } from "../../src/host/message-id.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { Options } from "../../src/options.ts";
import { SIMULATED_VOICE } from "../../src/testing/simulated-sessions.ts";
import { aGoal, aGoalThatIs, aQueuedTask, VOICE } from "../support/builders.ts";
import { Desk } from "../tools/desk.ts";

const SECOND = 1_000;

/** A script that says `opencode run --command goal …` in a session of an earlier run. */
class Script {
  /** What was printed, and where it was asked. */
  readonly given: { readonly sessionID: string; readonly rootID: string; readonly said: string }[] = [];
  /** The last exit code. */
  code: number | undefined;
  /** Roots whose stored state was brought here. */
  readonly ensured: string[] = [];
  foreign: StoredRoot | undefined;
  /** What is wrong with the version of OpenCode. */
  problem: string | undefined;

  static async open(options: Partial<Options> = {}, inRun = true): Promise<Script> {
    const script = new Script(await Desk.open(options, inRun), options, inRun);
    await script.desk.finish(script.desk.root, "Hello.");
    return script;
  }

  private constructor(
    readonly desk: Desk,
    private readonly options: Partial<Options>,
    private readonly inRun: boolean,
  ) {}

  /** Answers the text that takes the place of the user's message; undefined when no turn may start. */
  async says(args: string, sessionID = this.desk.root, hasFiles = false): Promise<string | undefined> {
    const { desk, given } = this;
    const { host, keeper, clock } = desk;
    const runAnswer = {
      give: async (sessionID: string, rootID: string, said: string, isRefused = false) => {
        this.code = isRefused ? 1 : 0;
        given.push({ sessionID, rootID, said });
      },
    };
    const loader = {
      ensure: async (rootID: string) => void this.ensured.push(rootID),
      foreignRoot: async () => this.foreign,
    };
    const text = executeGoalCommand(sessionID, args, {
      keeper,
      host,
      loader,
      agents: new AgentJudge({ host, keeper }),
      ids: new HostIds(clock),
      hostProblem: async () => this.problem,
      now: () => clock.now(),
      command: "goal",
      limits: { turns: 25, tokens: 0, ms: 0 },
      goals: async () => "",
      hasCeiling: this.options.max_task_block_seconds !== 0,
      hasTools: this.options.tools?.length !== 0,
      hasFiles,
      runAnswer: this.inRun ? runAnswer : undefined,
    }).catch((error: unknown) => error);
    await desk.pass();
    const result = await text;
    if (typeof result === "string") return result;
    expect(result).toBeInstanceOf(CommandAnswered);
    return undefined;
  }

  /** The goal of an earlier process, which has been killed. */
  finds(goal = aGoal(), tasks: StoredRoot["tasks"] = []): this {
    const owner = { host: "h", pid: 7, processStartedAt: 7, instance: "earlier" };
    const stored = { version: 1, self: this.desk.root, owner, claim: 1, revision: 1, goal, tasks } as const;
    this.desk.keeper.dispatch({ type: "restored", stored, awake: false, elsewhere: [] });
    return this;
  }

  get goal() {
    return this.desk.keeper.goal(this.desk.root);
  }

  /** Prompts of ours in the session, besides what a command has returned. */
  get prompts(): number {
    return this.desk.host.prompts.filter(({ sessionID }) => sessionID === this.desk.root).length;
  }
}

let script: Script;

beforeEach(async () => {
  script = await Script.open();
});

describe("in opencode run, /goal resume", () => {
  test.each(["paused", "blocked", "limited"] as const)(
    "starts the turn of a goal that is %s with its continuation, and prints nothing",
    async (status) => {
      script.finds(aGoalThatIs(status));
      const text = (await script.says("resume")) ?? "";
      expect(readFrame(text)?.kind).toBe("goal");
      expect(text).toContain("make the build pass");
      expect([script.goal?.status, script.given]).toEqual(["active", []]);
    },
  );

  test("wakes a goal that sleeps, for good", async () => {
    script.finds();
    expect(script.desk.keeper.root(script.desk.root)?.presence.kind).toBe("asleep");
    const text = (await script.says("resume")) ?? "";
    script.desk.host.userSays(script.desk.root, text);
    await script.desk.pass();
    expect(script.desk.keeper.root(script.desk.root)?.presence.kind).toBe("awake");
  });

  test("is overtaken by nothing of ours until its message arrives", async () => {
    script.finds(aGoalThatIs("paused"));
    await script.says("resume");
    await script.desk.pass(20 * SECOND);
    expect(script.prompts).toBe(0);
    expect(script.desk.keeper.decision(script.desk.root)).toMatchObject({
      kind: "wait",
      reasons: [{ why: "user-message-unanswered" }],
    });
  });

  test.each([
    ["there is none", undefined, "No goal in this session. Start one with /goal <objective>."],
    ["it is complete", aGoalThatIs("complete"), "The goal is complete. Start another with /goal <objective>."],
  ] as const)("prints that there is nothing to resume and starts no turn: %s", async (_what, goal, said) => {
    if (goal !== undefined) script.finds(goal);
    expect(await script.says("resume")).toBeUndefined();
    const { root } = script.desk;
    expect(script.given).toEqual([{ sessionID: root, rootID: root, said }]);
  });

  describe("without a ceiling for tasks", () => {
    const task = (rootID: string) =>
      aQueuedTask({
        parentID: rootID,
        rootID,
        origin: "launched",
        launch: { voice: VOICE, unstable: false },
        waits: { for: "slot" },
        run: { number: 1, startedAt: 0, promptID: "msg_0" },
      });

    test.each([true, false])("lets no wait of a goal go that slept: in the run %p", async (inRun) => {
      script = await Script.open({ max_task_block_seconds: 0 }, inRun);
      script.finds(aGoal(), [task(script.desk.root)]);
      await script.says("resume");
      expect(script.goal?.releases).toEqual({});
    });
  });
});

describe("in opencode run, any other command", () => {
  test("that sets a goal starts its first turn, which nothing overtakes", async () => {
    const text = (await script.says('"fix the failing test"')) ?? "";
    expect(readFrame(text)?.kind).toBe("goal");
    expect(text).toContain("fix the failing test");
    await script.desk.pass(20 * SECOND);
    expect([script.goal?.objective, script.prompts, script.given]).toEqual(["fix the failing test", 0, []]);
  });

  test.each([
    ["", /^Goal: make the build pass\nState: active\n/],
    ["status", /^Goal: make the build pass\n/],
    ["pause", /^Goal paused\. \/goal resume goes on\.$/],
    ["clear", /^Goal cleared: make the build pass$/],
    ["stop", /^"stop" is no objective, and nothing was changed\./],
  ] as const)("is printed, and neither shown in the session nor as a toast: %p", async (args, said) => {
    script.finds();
    const { host, root } = script.desk;
    const toasts = host.toasts.length;
    const shown: string[] = [];
    const show = host.show.bind(host);
    host.show = (sessionID, text, voice) => {
      shown.push(text);
      return show(sessionID, text, voice);
    };
    expect(await script.says(args)).toBeUndefined();
    expect(script.given).toEqual([{ sessionID: root, rootID: root, said: expect.stringMatching(said) }]);
    expect(host.toasts.slice(toasts).filter(({ title }) => title === "goal")).toEqual([]);
    expect(shown).toEqual([]);
  });

  test.each([
    ["", 0],
    ["why", 0],
    ["list", 0],
    ["pause", 0],
    ["edit fix that", 0],
    ["clear", 0],
    ["stop", 1],
    ["fix it --turns x", 1],
    ["resume --turns 5", 1],
  ] as const)("exits with a code that says whether it was done: %p %i", async (args, code) => {
    script.finds();
    await script.says(args);
    expect(script.code).toBe(code);
  });

  test.each([
    ["there is none", undefined, 1],
    ["it is complete, as it should be", aGoalThatIs("complete"), 0],
  ] as const)("resume without a goal that could go on: %s", async (_what, goal, code) => {
    if (goal !== undefined) script.finds(goal);
    await script.says("resume");
    expect(script.code).toBe(code);
  });

  test("takes off the quotes that OpenCode has put around it all", async () => {
    await script.says('"fix it --turns 5"');
    expect(script.goal).toMatchObject({ objective: "fix it", budget: { turns: 5 } });
  });
});

describe("U2 a file that comes with a command", () => {
  const said = (args: string) => script.says(args, script.desk.root, true);
  const answer = () => script.given.at(-1)?.said;

  test("belongs to a new objective", async () => {
    expect(await said("paint it blue")).toContain("paint it blue");
    expect(script.given).toEqual([]);
  });

  test("is no part of an objective that is edited: refused, and nothing is changed", async () => {
    script.finds();
    await said("edit make it like that");
    expect(answer()).toStartWith("Nothing was changed: an objective is edited with words alone");
    expect([script.goal?.objective, script.code]).toEqual(["make the build pass", 1]);
  });

  test("is of no use to any other word, and that is said", async () => {
    script.finds();
    await said("pause");
    expect(answer()).toBe("(What came with the command was not used.) Goal paused. /goal resume goes on.");
    expect(script.code).toBe(0);
  });
});

describe("U1 while messages are undone", () => {
  beforeEach(async () => {
    script = await Script.open({}, false);
    script.desk.keeper.dispatch({
      type: "goal",
      rootID: script.desk.root,
      event: { type: "set", id: "msg_g", objective: "make the build pass" },
    });
    script.desk.host.userUndoes(script.desk.root);
    await script.desk.pass(20 * SECOND);
  });

  test.each([
    [
      "status",
      [
        "State: active\nNow: waits: messages are undone here; with the next message they are gone for good",
        "Goal: make the build pass",
      ],
    ],
    ["why", ["ago: it waits: messages are undone here;"]],
    ["pause", ["Goal paused. /goal resume goes on."]],
  ] as const)("%p is answered by a toast alone, as long as it has to be", async (args, said) => {
    const { host, root } = script.desk;
    const before = host.messages(root).length;
    expect(await script.says(args)).toBeUndefined();
    for (const words of said) expect(host.toasts.at(-1)?.message).toContain(words);
    expect([host.messages(root).length, host.isUndone(root), script.prompts]).toEqual([before, true, 0]);
  });

  test("a new objective is the user's message, which makes the undo final, and the goal goes on after it", async () => {
    const { host, keeper, root } = script.desk;
    host.userSays(root, (await script.says("paint it blue")) ?? "");
    await script.desk.pass();
    await script.desk.finish(root, "Begun.");
    expect([keeper.goal(root)?.objective, host.isUndone(root), script.prompts]).toEqual(["paint it blue", false, 1]);
  });
});

describe("what another process pursues", () => {
  const owner = { host: "h", pid: 42, processStartedAt: 7, instance: "other" };

  async function foreign(inRun: boolean, goal: StoredRoot["goal"] = aGoal()): Promise<void> {
    script = await Script.open({}, inRun);
    script.foreign = { version: 1, self: script.desk.root, owner, claim: 1, revision: 1, goal, tasks: [] };
  }

  test.each([
    ["status", "another OpenCode process (42) pursues it", 0],
    ["why", "Another OpenCode process (42) pursues the goal: say this there.", 0],
    ["list", "", 0],
    ["stop", '"stop" is no objective', 1],
    ["fix it --turns x", '--turns is "x"', 1],
  ] as const)("is not taken away from it by %p", async (args, said, code) => {
    await foreign(true);
    expect(await script.says(args)).toBeUndefined();
    const { root } = script.desk;
    expect(script.given).toEqual([{ sessionID: root, rootID: root, said: expect.stringContaining(said) }]);
    expect([script.code, script.goal, script.ensured]).toEqual([code, undefined, []]);
  });

  test("is not moved by a look from a session below it", async () => {
    await foreign(true);
    const child = script.desk.host.addChild(script.desk.root);
    for (const args of ["why", "stop", "a goal of my own"]) await script.says(args, child);
    expect([script.given.length, script.ensured]).toEqual([3, []]);
  });

  test("without a goal stays there, too", async () => {
    await foreign(true);
    const { goal: _, ...none } = script.foreign as StoredRoot;
    script.foreign = none;
    await script.says("status");
    expect(script.given[0]?.said).toBe("No goal in this session. Start one with /goal <objective>.");
    expect(script.ensured).toEqual([]);
  });

  test("moves here by a word that is about to change it", async () => {
    await foreign(true);
    await script.says("pause");
    expect(script.ensured).toEqual([script.desk.root]);
  });

  test("is shown in a toast of a few lines, whatever is written in it", async () => {
    const blocked = aGoal({ objective: "x".repeat(5_000) }, { status: "blocked", blocker: "y".repeat(5_000), at: 0 });
    await foreign(false, blocked);
    await script.says("status");
    const toast = script.desk.host.toasts.at(-1)?.message ?? "";
    expect(toast).toContain("another OpenCode process (42) pursues it");
    expect(toast.length).toBeLessThanOrEqual(350);
  });
});

test.each([
  ["status", /^State: active\nNow: waits: the agent is working/],
  ["why", /^\d.* ago: it waits: the agent is working/],
] as const)("while the agent works, %p is a toast that begins with what is newest", async (args, said) => {
  script = await Script.open({}, false);
  const { keeper, host, root } = script.desk;
  keeper.dispatch({ type: "goal", rootID: root, event: { type: "set", id: "goal_1", objective: "fix it" } });
  host.userSays(root, "and the docs");
  await script.desk.pass();
  await script.says(args);
  expect(host.toasts.at(-1)?.message).toMatch(said);
});

test("a goal that wraps up stays limited when it is paused, and the answer says so", async () => {
  script.finds(aGoal({}, { status: "limited", limit: "25 turns", wrapUp: "owed", at: 0 }));
  await script.says("pause");
  expect(script.given[0]?.said).toBe(
    "The goal does not wrap up: it stays limited: 25 turns used up. /goal resume goes on.",
  );
  expect(script.goal).toMatchObject({ status: "limited", wrapUp: "sent" });
});

describe("in an agent that pursues no goals", () => {
  test("resume says that the agent comes first, and in opencode run that nothing was done", async () => {
    const { keeper, root } = script.desk;
    script.finds(aGoalThatIs("paused"));
    const event = {
      type: "user-message",
      sessionID: root,
      messageID: "msg_z",
      voice: { ...VOICE, agent: "plan" },
    } as const;
    keeper.dispatch({ type: "host", event });
    expect(await script.says("resume")).toBeUndefined();
    expect(script.given[0]?.said).toMatch(
      /^Not resumed: the goal is paused: the agent "plan" does not pursue goals \(switch the agent and write a message first\)\.$/,
    );
    expect([script.code, script.goal?.status]).toEqual([1, "paused"]);
  });
});

test("anywhere else /goal resume is answered, and the goal goes on by itself", async () => {
  script = await Script.open({}, false);
  script.finds(aGoalThatIs("paused"));
  expect(await script.says("resume")).toBeUndefined();
  await script.desk.pass(SECOND);
  expect([script.goal?.status, script.prompts, script.given]).toEqual(["active", 1, []]);
});

describe("on a version of OpenCode on which no goal can be pursued (U13)", () => {
  const problem = "this is OpenCode 1.18.3, where goals stop after their first turn";
  let script: Script;

  beforeEach(async () => {
    script = await Script.open({}, true);
    script.problem = problem;
  });

  test.each(["fix it", "resume"])("nothing is started by: %s", async (args) => {
    expect(await script.says(args)).toBeUndefined();
    expect(script.given.at(-1)?.said).toBe(`Nothing was started: ${problem}.`);
    expect([script.code, script.desk.keeper.goal(script.desk.root)]).toEqual([1, undefined]);
  });

  test("that is the first thing that is shown", async () => {
    await script.says("status");
    expect(script.given.at(-1)?.said).toStartWith(`No goal is pursued here: ${problem}.\nNo goal in this session.`);
  });
});

test("without the tools that end a goal none is started, and that is said", async () => {
  const bare = await Script.open({ tools: [] });
  expect(await bare.says("make the build pass")).toBeUndefined();
  expect(bare.goal).toBeUndefined();
  expect(bare.given.at(-1)?.said).toContain('the option "tools" leaves them out');
  expect(bare.code).toBe(1);
});

describe("an agent that could never end a goal", () => {
  /** A message of the user's for an agent, and its whole turn. */
  async function saysTo(agent: string, id: string): Promise<void> {
    const { host, root } = script.desk;
    const voice = { ...SIMULATED_VOICE, agent };
    const ids = { messageID: new HostIds(script.desk.clock).message(""), partID: `prt_${id}` };
    void host.prompt({ sessionID: root, ...ids, text: "hello", voice, synthetic: false });
    await script.desk.pass();
    host.finishTurn(root);
    await script.desk.pass();
  }

  test("is named with what it lacks: the goal is set and paused, and no turn starts", async () => {
    await saysTo("helpless", "1");
    expect(await script.says("paint it")).toBeUndefined();
    expect(script.goal).toMatchObject({ objective: "paint it", status: "paused", by: "unable-agent" });
    const [answer] = script.given;
    expect(answer?.said).toBe(
      'Nothing was started. The goal is paused: the agent "helpless" may not call update_goal, with which it would end the goal (allow that, or switch the agent and write a message, first). /goal resume goes on.',
    );
    expect(script.code).toBe(1);
  });

  test("keeps its goal paused, and another one goes on with it", async () => {
    script = await Script.open({}, false);
    await saysTo("helpless", "1");
    await script.says("paint it");
    await script.says("resume");
    expect(script.goal?.status).toBe("paused");
    await saysTo("build", "2");
    await script.says("resume");
    expect(script.goal?.status).toBe("active");
  });

  test("is not looked for where OpenCode does not say which agents there are", async () => {
    await saysTo("helpless", "1");
    script.desk.host.faults.agents = "unknown";
    expect(readFrame((await script.says("paint it")) ?? "")?.kind).toBe("goal");
  });
});
