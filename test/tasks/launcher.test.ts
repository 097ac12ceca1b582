import { beforeEach, describe, expect, test } from "bun:test";
import type { AgentInfo, Answer, NewChild, PermissionRule, SessionInfo, Voice } from "../../src/host/port.ts";
import type { NewTask } from "../../src/tasks/background-task-manager.ts";
import {
  LaunchError,
  Launcher,
  type LauncherDependencies,
  type LaunchRequest,
  type ResumeRequest,
  type Resumption,
} from "../../src/tasks/launcher.ts";
import type { EndedTask, Task } from "../../src/tasks/task.ts";
import {
  anEndedTask,
  aQueuedTask,
  aSession,
  aTask,
  CHILD,
  delivered,
  GONE,
  known,
  OURS,
  ROOT,
  T0,
  UNKNOWN,
  VOICE,
} from "../support/builders.ts";

const NEVER_ASKS: PermissionRule = { permission: "question", pattern: "*", action: "deny" };
const MODEL = { providerID: "p", modelID: "other" };

function agent(name: string, rules: readonly PermissionRule[] = []): AgentInfo {
  return { name, mode: name === "build" ? "primary" : "subagent", hidden: false, rules };
}

let sessions: Map<string, SessionInfo>;
let agents: Answer<readonly AgentInfo[]>;
let models: Answer<ReadonlySet<string>>;
let created: (child: NewChild) => Promise<Answer<SessionInfo>>;
let written: () => Promise<Answer<void>>;
let records: Map<string, Task>;
let calls: [string, ...unknown[]][];
let seen: string[];
let launcher: Launcher;

beforeEach(() => {
  sessions = new Map([
    [ROOT, aSession(ROOT, { voice: VOICE })],
    [CHILD, aSession(CHILD, { parentID: ROOT, voice: { ...VOICE, agent: "general" }, rules: [NEVER_ASKS] })],
  ]);
  agents = known([agent("build"), agent("general"), agent("explore")]);
  models = UNKNOWN;
  created = async ({ parentID, title }) => known(aSession("ses_new", { parentID, title }));
  written = async () => known(undefined);
  records = new Map();
  calls = [];
  seen = [];
  launcher = new Launcher(dependencies());
});

function dependencies(): LauncherDependencies {
  const called = (name: string, ...args: readonly unknown[]) => calls.push([name, ...args]);
  return {
    host: {
      session: async (id) => {
        called("session", id);
        const session = sessions.get(id);
        return session === undefined ? GONE : known(session);
      },
      agents: async () => {
        called("agents");
        return agents;
      },
      models: async () => {
        called("models");
        return models;
      },
      createChild: (child) => {
        called("createChild", child);
        return created(child);
      },
      writeMetadata: (id, metadata, rules) => {
        called("writeMetadata", id, metadata, rules);
        return written();
      },
    },
    books: {
      get: (taskID) => records.get(taskID),
      begin: async (rootID) => void called("begin", rootID),
      see: ({ id }) => seen.push(id),
      voice: () => undefined,
      launched: (rootID, task, requestedAt, stopped) => {
        called("launched", rootID, task, requestedAt, stopped);
        records.set(task.id, aQueuedTask({ id: task.id, origin: "launched", launch: task.launch }));
      },
      resume: (task) => {
        called("resume", task);
        records.set(task.taskID, aQueuedTask({ id: task.taskID, run: { number: 2, startedAt: T0 } }));
      },
    },
    ids: { message: (after) => `msg_after(${after})` },
    now: () => T0,
    metadataKey: "goalkeeper_task",
    maxDepth: 3,
    unstableModels: ["*wild*"],
  };
}

function launch(more: Partial<LaunchRequest> = {}): Promise<Task> {
  return launcher.launch({ parentID: ROOT, description: "look at it", prompt: "Look at it.", ...more });
}

function resume(more: Partial<ResumeRequest> = {}): ReturnType<Launcher["resume"]> {
  return launcher.resume({ taskID: CHILD, callerID: ROOT, prompt: "More.", ...more });
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error("it was not refused"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LaunchError);
  return (error as LaunchError).message;
}

function made<T>(name: string): T[] {
  return calls.flatMap(([called, ...args]) => (called === name ? [(args.length === 1 ? args[0] : args) as T] : []));
}

function ended(more: Partial<EndedTask> = {}): EndedTask {
  const task = anEndedTask({
    origin: "launched",
    launch: { voice: { ...VOICE, agent: "general" }, unstable: false },
    ...more,
  });
  records.set(task.id, task);
  return task;
}

describe("launch", () => {
  test("makes a child that holds its own prompt, and opens its record", async () => {
    const task = await launch();
    expect(made<NewChild>("createChild")).toMatchObject([
      {
        parentID: ROOT,
        title: "look at it (@general)",
        voice: { agent: "general", model: VOICE.model },
        metadata: { goalkeeper_task: { version: 1, promptID: "msg_after()", prompt: "Look at it." } },
      },
    ]);
    const [[rootID, opened, requestedAt, stopped] = []] = made<[string, NewTask, number, undefined]>("launched");
    expect([rootID, requestedAt, stopped]).toEqual([ROOT, T0, undefined]);
    expect(opened).toMatchObject({ id: "ses_new", parentID: ROOT, title: "look at it", promptID: "msg_after()" });
    expect(task).toMatchObject({ id: "ses_new", status: "queued" });
  });

  test("the child gets what is denied to its parent, and never asks", async () => {
    const denied: PermissionRule = { permission: "bash", pattern: "rm *", action: "deny" };
    sessions.set(ROOT, aSession(ROOT, { voice: VOICE, rules: [denied] }));
    await launch();
    expect(made<NewChild>("createChild")[0]?.rules).toEqual([denied, NEVER_ASKS]);
  });

  test("the books see every session above, so that the child finds its root", async () => {
    await launch({ parentID: CHILD });
    expect(seen).toEqual([CHILD, ROOT]);
    expect(made<[string]>("launched")[0]?.[0]).toBe(ROOT);
  });

  test("a title is cut, so that no model can fill the list with one", async () => {
    await launch({ description: "x".repeat(500) });
    expect(made<[string, NewTask]>("launched")[0]?.[1].title).toHaveLength(200);
  });

  test("T7 unstable is decided on the model that runs, and a flag of the call wins", async () => {
    const wild = { providerID: "p", modelID: "wild-2" };
    const marks = [];
    for (const wishes of [{}, { model: wild }, { model: wild, unstable: false }, { unstable: true }]) {
      await launch(wishes);
      marks.push(made<[string, NewTask]>("launched").at(-1)?.[1].launch.unstable);
    }
    expect(marks).toEqual([false, true, false, true]);
  });

  test("agents are asked for once, and again as long as there was no answer", async () => {
    agents = UNKNOWN;
    expect(await refusal(launch())).toBe("OpenCode did not answer: no answer.");
    agents = known([agent("build"), agent("general")]);
    await launch();
    await launch();
    expect(made("agents")).toHaveLength(2);
  });

  test("models are asked for only where one is wished for; without an answer any is taken", async () => {
    await launch();
    expect(made("models")).toHaveLength(0);
    await launch({ model: MODEL });
    expect(made<NewChild>("createChild").at(-1)?.voice.model).toEqual(MODEL);
  });

  describe("is refused in words", () => {
    test("its session does not exist", async () => {
      expect(await refusal(launch({ parentID: "ses_nobody" }))).toBe("There is no session ses_nobody.");
    });

    test("no such agent, and which there are", async () => {
      expect(await refusal(launch({ agent: "nobody" }))).toBe(
        'There is no agent "nobody". Available: general, explore.',
      );
    });

    test("no such model", async () => {
      models = known(new Set(["p/m"]));
      expect(await refusal(launch({ model: MODEL }))).toContain('There is no model "p/other"');
    });

    test("its agent may not send that one", async () => {
      agents = known([agent("build", [{ permission: "task", pattern: "general", action: "deny" }]), agent("general")]);
      expect(await refusal(launch())).toBe('The agent "build" may not send the agent "general".');
    });

    test("T16 nested too deep", async () => {
      sessions.set("ses_2", aSession("ses_2", { parentID: CHILD }));
      await launch({ parentID: "ses_2" });
      sessions.set("ses_3", aSession("ses_3", { parentID: "ses_2" }));
      expect(await refusal(launch({ parentID: "ses_3" }))).toStartWith(
        'Tasks may be nested 3 deep ("max_task_depth"), and this one would be deeper.',
      );
    });

    test("T16 a chain of parents without an end", async () => {
      sessions.set(ROOT, aSession(ROOT, { parentID: CHILD }));
      expect(await refusal(launch())).toBe("Its chain of parent sessions has no end.");
      expect(seen).toEqual([]);
    });

    test("T16 a parent above that cannot be read", async () => {
      sessions.delete(ROOT);
      expect(await refusal(launch({ parentID: CHILD }))).toBe(`There is no session ${ROOT}.`);
    });

    test("OpenCode does not make the child", async () => {
      created = async () => UNKNOWN;
      expect(await refusal(launch())).toBe("OpenCode did not answer: no answer.");
      created = async () => GONE;
      expect(await refusal(launch())).toBe("Its session does not exist any more.");
      expect(made("launched")).toEqual([]);
    });

    test("cancelled before its session was made", async () => {
      expect(await refusal(launch({ signal: AbortSignal.abort() }))).toBe(
        "It was cancelled before its session was created.",
      );
      expect(made("createChild")).toEqual([]);
    });

    test("nothing that is refused makes a child", async () => {
      for (const wishes of [{ agent: "nobody" }, { parentID: "ses_nobody" }]) await refusal(launch(wishes));
      expect(made("createChild")).toEqual([]);
      expect(made("begin")).toEqual([]);
    });
  });

  test("T13 cancelled while its session is made, it gets a record that has ended, and no prompt", async () => {
    const controller = new AbortController();
    created = async () => {
      controller.abort();
      return known(aSession("ses_new", { parentID: ROOT }));
    };
    await launch({ signal: controller.signal });
    expect(made<unknown[]>("launched")[0]?.[3]).toBe("it was cancelled while it was being created");
  });

  test("who is launching is known until it is over, however it ends", async () => {
    const launching = refusal(launch({ agent: "nobody" }));
    expect(launcher.isLaunchingFor(ROOT)).toBe(true);
    await launching;
    expect(launcher.isLaunchingFor(ROOT)).toBe(false);
  });
});

describe("resume", () => {
  test("writes the next prompt into the child's session, and then begins the next run", async () => {
    ended({ run: { number: 1, startedAt: T0, promptID: "msg_1" }, delivery: { state: "reconciled", at: T0 } });
    const { task, earlier } = await resume();
    expect(calls.map(([name]) => name).filter((name) => name === "writeMetadata" || name === "resume")).toEqual([
      "writeMetadata",
      "resume",
    ]);
    expect(made<[string, unknown]>("writeMetadata")[0]?.[1]).toEqual({
      goalkeeper_task: { version: 1, promptID: "msg_after(msg_1)", prompt: "More." },
    });
    expect(task.run.number).toBe(2);
    expect(earlier).toBeUndefined();
  });

  test("a task keeps its agent and model, unless others are wished for", async () => {
    const voices: (Voice | undefined)[] = [];
    for (const wishes of [{}, { agent: "explore" }, { model: MODEL }]) {
      ended();
      await resume(wishes);
      voices.push(made<Resumption>("resume").at(-1)?.launch.voice as Voice);
    }
    expect(voices.map((voice) => [voice?.agent, voice?.model.modelID])).toEqual([
      ["general", "m"],
      ["explore", "m"],
      ["general", "other"],
    ]);
  });

  test("an outcome that nobody was told is handed over, and the books hear with which message", async () => {
    const before = ended({ delivery: OURS });
    const { earlier } = await resume({ messageID: "msg_call" });
    expect(earlier).toBe(before);
    expect(made("resume")).toMatchObject([{ callerID: ROOT, messageID: "msg_call" }]);
  });

  test("an outcome that was told is not answered once more", async () => {
    for (const delivery of [delivered(), { state: "reconciled", at: T0 }] as const) {
      ended({ delivery });
      expect((await resume({ messageID: "msg_call" })).earlier).toBeUndefined();
    }
  });

  test("T11 a task whose record is gone is found by its session", async () => {
    await resume();
    expect(made<[string, NewTask]>("launched")[0]?.[1]).toMatchObject({ id: CHILD, parentID: ROOT, prompt: "More." });
  });

  test("rules that the child lacks are added: one that OpenCode's Task tool made may ask", async () => {
    sessions.set(CHILD, aSession(CHILD, { parentID: ROOT }));
    ended();
    await resume();
    expect(made<unknown[]>("writeMetadata")[0]?.[2]).toEqual([NEVER_ASKS]);
  });

  describe("is refused in words, and the record is as it was", () => {
    async function refused(more: Partial<ResumeRequest> = {}): Promise<string> {
      const before = records.get(more.taskID ?? CHILD);
      const words = await refusal(resume(more));
      expect(records.get(more.taskID ?? CHILD)).toBe(before as Task);
      expect([...made("resume"), ...made("launched")]).toEqual([]);
      return words;
    }

    test("no such session", async () => {
      expect(await refused({ taskID: "ses_nobody" })).toBe("There is no session ses_nobody.");
    });

    test("a main session", async () => {
      expect(await refused({ taskID: ROOT })).toBe(`${ROOT} is a main session, not a task.`);
    });

    test("a task of another tree", async () => {
      sessions.set("ses_other", aSession("ses_other", { voice: VOICE }));
      expect(await refused({ callerID: "ses_other" })).toBe(`The task ${CHILD} belongs to another session.`);
    });

    test("a task resumes neither itself nor one above it", async () => {
      sessions.set("ses_nested", aSession("ses_nested", { parentID: CHILD }));
      for (const callerID of [CHILD, "ses_nested"])
        expect(await refused({ callerID })).toBe("A task cannot resume itself or a task above it.");
    });

    test("one that reports to somebody else who is live", async () => {
      sessions.set("ses_nested", aSession("ses_nested", { parentID: CHILD }));
      records.set(CHILD, aTask({ origin: "launched" }));
      expect(await refused({ taskID: "ses_nested" })).toBe(
        `The task ses_nested reports to ${CHILD}, and only that session may resume it.`,
      );
    });

    test("one that still works", async () => {
      records.set(CHILD, aTask({ origin: "launched" }));
      expect(await refused()).toBe(`The task ${CHILD} is running and cannot be resumed before it has ended.`);
      expect(made("writeMetadata")).toEqual([]);
    });

    test("U1 its user has undone messages there", async () => {
      sessions.set(CHILD, aSession(CHILD, { parentID: ROOT, undone: true }));
      ended();
      expect(await refused()).toStartWith(`The user has undone messages of the task ${CHILD}: another prompt would`);
      expect(made("writeMetadata")).toEqual([]);
    });

    test("its agent may not send that one", async () => {
      agents = known([agent("build", [{ permission: "task", pattern: "*", action: "deny" }]), agent("general")]);
      ended();
      expect(await refused()).toBe('The agent "build" may not send the agent "general".');
    });

    test("the child may edit, and whoever resumes it may not", async () => {
      agents = known([agent("build", [{ permission: "edit", pattern: "*", action: "deny" }]), agent("general")]);
      ended();
      expect(await refused()).toBe('This task may do what the agent "build" may not. Launch another one.');
    });

    test("T10 the prompt could not be written", async () => {
      ended({ delivery: OURS });
      written = async () => UNKNOWN;
      expect(await refused({ messageID: "msg_call" })).toBe("OpenCode did not answer: no answer.");
    });

    test("its user has gone on with it while that was written", async () => {
      ended();
      written = async () => {
        records.set(CHILD, aTask({ origin: "adopted" }));
        return known(undefined);
      };
      const words = await refusal(resume());
      expect(words).toBe(`The task ${CHILD} is running and cannot be resumed before it has ended.`);
      expect(made("resume")).toEqual([]);
    });

    test("the user has aborted the turn that asks while that was written: the outcome before is still to be told", async () => {
      ended({ delivery: OURS });
      const controller = new AbortController();
      written = async () => {
        controller.abort();
        return known(undefined);
      };
      const words = await refused({ messageID: "msg_call", signal: controller.signal });
      expect(words).toBe("It was cancelled while it was being resumed.");
    });
  });

  test("of two at the same moment the second is refused, and overwrites no prompt", async () => {
    ended();
    const [first, second] = await Promise.allSettled([resume(), resume({ prompt: "Other." })]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({
      status: "rejected",
      reason: { message: `The task ${CHILD} is being resumed already.` },
    });
    expect(made("writeMetadata")).toHaveLength(1);
    ended();
    await resume();
    expect(made("resume")).toHaveLength(2);
  });
});
