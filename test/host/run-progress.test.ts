import { beforeEach, describe, expect, test } from "bun:test";
import type { Decision } from "../../src/goals/gate.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { HoldReason } from "../../src/goals/run-hold.ts";
import type { RunMode } from "../../src/host/run-mode.ts";
import { RunProgress } from "../../src/host/run-progress.ts";
import type { Observation } from "../../src/keeper/messages.ts";
import type { Outcome, Task, TerminalStatus } from "../../src/tasks/task.ts";
import {
  aGoal,
  aGoalThatIs,
  aMessage,
  anEndedTask,
  aQueuedTask,
  aTask,
  CHILD,
  delivered,
  hostTells,
  ROOT,
  T0,
} from "../support/builders.ts";

const SECOND = 1_000;
const GO_ON = `to go on: opencode run -s ${ROOT} --command goal resume`;

/** The terminal of an `opencode run`. */
class Terminal {
  now = T0;
  readonly out: string[] = [];
  readonly err: string[] = [];
  failed = 0;
  currentGoal: Goal | undefined;
  tasks: readonly Task[] = [];
  decision: Decision = { kind: "stop", reason: { why: "no-goal" } };
  readonly progress: RunProgress;

  constructor(format: RunMode["format"] = "text") {
    this.progress = new RunProgress({
      mode: { format },
      command: "goal",
      now: () => this.now,
      stdout: (line) => this.out.push(line),
      stderr: (line) => this.err.push(line),
      onFailed: () => this.failed++,
      afterwards: (work) => work(),
      books: () => ({
        decision: () => this.decision,
        goal: () => this.currentGoal,
        tasks: () => this.tasks,
      }),
    });
  }

  observe(...observations: readonly Observation[]): this {
    for (const observation of observations) this.progress.observe(observation);
    return this;
  }

  /** What was said, without what every line has. */
  get said(): readonly string[] {
    for (const line of this.err) expect(line).toMatch(/^goalkeeper: .*\n$/);
    return this.err.map((line) => line.slice("goalkeeper: ".length, -1));
  }

  get events(): readonly Record<string, unknown>[] {
    return this.out.map((line) => JSON.parse(line));
  }
}

let terminal: Terminal;

beforeEach(() => {
  terminal = new Terminal();
});

function live(title: string, status: "queued" | "running" | "missing" = "running"): HoldReason {
  return { why: "task-live", taskID: `ses_${title}`, title, status, until: T0 + 60 * SECOND };
}

function untold(title: string): HoldReason {
  return { why: "outcome-untold", taskID: `ses_${title}`, title, until: T0 + 2 * SECOND };
}

function holds(...reasons: readonly HoldReason[]): Observation {
  return { type: "hold", rootID: ROOT, hold: { kind: "hold", reasons, until: T0 + 60 * SECOND } };
}

function lets(why: "nothing-owed" | "failure" | "goal-continues" | "ceiling" | "interrupted"): Observation {
  return { type: "hold", rootID: ROOT, hold: { kind: "release", why } };
}

function goal(
  before: Goal | undefined,
  after: Goal | undefined,
  event: "continued" | "overrun" | "turn-ended" | "restored" | "set",
) {
  return { type: "goal", rootID: ROOT, before, after, event } satisfies Observation;
}

function task(before: Task | undefined, after: Task | undefined, event: "looked" | "restored" = "looked"): Observation {
  return { type: "task", rootID: ROOT, change: { before, after, event } };
}

function outbox(state: string, kind: "continuation" | "wrapup" | "task-outcome" | "waiting" = "continuation") {
  return { type: "outbox", rootID: ROOT, state, message: aMessage({ kind }) } satisfies Observation;
}

function idle(sessionID = ROOT): Observation {
  return { type: "input", rootID: ROOT, input: { type: "host", event: { type: "session-idle", sessionID } } };
}

function saved(result: "ok" | "failed"): Observation {
  const said = result === "ok" ? { kind: result } : { kind: result, reason: "disk full" };
  return { type: "input", rootID: ROOT, input: { type: "saved", rootID: ROOT, revision: 1, result: said } };
}

test("what is wrong with the options is said where a toast would be seen by nobody", () => {
  terminal.progress.problem('Unknown option "x". It is ignored.');
  expect(terminal.said).toEqual(['Unknown option "x". It is ignored.']);
});

describe("what is waited for", () => {
  test("is said with its names, its states, and until when", () => {
    terminal.observe(holds(live("alpha"), live("beta", "queued"), live("gamma", "missing")));
    expect(terminal.said).toEqual([
      'waiting for 3 background tasks: "alpha", "beta" (queued), "gamma" (missing), at most 1m 0s more',
    ]);
  });

  test("without a ceiling no moment is named", () => {
    const hold = { kind: "hold", reasons: [live("alpha")], until: Number.POSITIVE_INFINITY } as const;
    terminal.observe({ type: "hold", rootID: ROOT, hold });
    expect(terminal.said).toEqual(['waiting for 1 background task: "alpha"']);
  });

  test("is said again only when it is something else", () => {
    terminal.observe(holds(live("alpha"), live("beta")), holds(live("alpha"), live("beta")));
    terminal.observe(holds(live("alpha"), live("beta"), untold("gamma")));
    expect(terminal.said).toHaveLength(1);
    terminal.observe(holds(live("beta")));
    expect(terminal.said).toHaveLength(2);
  });

  test("is not said again by the next hold of the same wait, but by the next wait", () => {
    terminal.observe(holds(live("alpha")), lets("failure"), holds(live("alpha")));
    expect(terminal.said).toHaveLength(1);
    terminal.observe(lets("nothing-owed"), holds(live("alpha")));
    expect(terminal.said).toHaveLength(2);
  });

  test("how an outcome travels is over in a moment, and so is a hold for nothing", () => {
    terminal.observe(holds(untold("alpha")), holds(), lets("nothing-owed"));
    expect(terminal.said).toEqual([]);
  });

  test("a title of any shape stays on one line", () => {
    terminal.observe(holds(live(`a\nb ${"x".repeat(100)}`)));
    expect(terminal.said[0]).toMatch(/^waiting for 1 background task: "a b x{50,}…", at most/);
  });
});

describe("that nothing is waited for any more", () => {
  test("is said with how long it took, at the ceiling and when the goal goes on beside it", () => {
    for (const why of ["ceiling", "goal-continues"] as const) {
      terminal.observe(holds(live(why)));
      terminal.now += 90 * SECOND;
      terminal.observe(lets(why));
    }
    expect(terminal.said.filter((line) => line.startsWith("waited"))).toEqual([
      "waited 1m 30s; nobody waits any longer for the tasks that still work",
      "waited 1m 30s; the goal goes on beside the tasks that still work",
    ]);
  });

  test.each(["nothing-owed", "failure", "interrupted"] as const)("needs no words of its own otherwise: %s", (why) => {
    terminal.observe(holds(live("alpha")), lets(why));
    expect(terminal.said).toHaveLength(1);
  });

  test("is not said by a hold that has waited for nothing", () => {
    terminal.observe(lets("ceiling"), lets("goal-continues"));
    expect(terminal.said).toEqual([]);
  });
});

describe("the end of a task", () => {
  const ended = (status: TerminalStatus, outcome: Outcome = {}) =>
    anEndedTask({ status, endedAt: T0 + 90 * SECOND, outcome });

  test.each([
    ["completed", {}, "completed after 1m 30s"],
    ["failed", { error: { name: "APIError", message: "bad\nkey" } }, "failed after 1m 30s: bad key"],
    ["cancelled", { reason: "the user cancelled it" }, "cancelled after 1m 30s: the user cancelled it"],
    ["lost", { reason: "OpenCode ended" }, "lost: OpenCode ended"],
  ] as const)("is said with its time, where that is known, and its reason: %s", (status, outcome, said) => {
    terminal.observe(task(aTask(), ended(status, outcome)));
    expect(terminal.said).toEqual([`look at the tests: ${said}`]);
  });

  test("is said once, whatever becomes of its outcome", () => {
    terminal.observe(task(aTask(), ended("completed")), task(ended("completed"), ended("completed")));
    terminal.observe(
      task(ended("completed"), anEndedTask({ delivery: hostTells(T0) })),
      task(ended("failed"), undefined),
    );
    expect(terminal.said).toHaveLength(1);
  });

  test.each([
    ["begins", task(undefined, aTask())],
    ["works", task(aQueuedTask(), aTask())],
    ["was read back from an earlier process", task(aTask(), anEndedTask(), "restored")],
    ["was seen as ended at first sight", task(undefined, anEndedTask())],
    ["was awaited by a tool, whose result says it", task(aTask(), anEndedTask({ origin: "foreground" }))],
  ] satisfies [string, Observation][])("is not said of one that %s", (_what, observation) => {
    terminal.observe(observation);
    expect(terminal.said).toEqual([]);
  });
});

describe("the goal", () => {
  test("goes on with the number of the turn that begins", () => {
    terminal.observe(goal(aGoal(), aGoal({ turns: 1 }), "continued"));
    expect(terminal.said).toEqual(["the goal goes on, turn 2"]);
  });

  test("does not go on while it sleeps: an earlier process has begun that turn", () => {
    terminal.decision = { kind: "wait", reasons: [{ why: "asleep", endedBy: "user" }] };
    terminal.observe(goal(aGoal(), aGoal({ turns: 1 }), "continued"));
    expect(terminal.said).toEqual([]);
  });

  test("has ended, and how it could go on: of one that is complete nothing does", () => {
    terminal.observe(goal(aGoal(), aGoalThatIs("complete"), "turn-ended"));
    terminal.observe(goal(aGoal(), aGoalThatIs("blocked"), "turn-ended"));
    terminal.observe(goal(aGoal(), aGoalThatIs("limited"), "turn-ended"));
    terminal.observe(goal(aGoal(), aGoalThatIs("paused"), "turn-ended"));
    expect(terminal.said).toEqual([
      "the goal is complete",
      `the goal is blocked: no key; ${GO_ON}`,
      `the goal is limited: 25 turns used up; ${GO_ON}`,
      `the goal is paused by you; ${GO_ON}`,
    ]);
  });

  test("whose turn was ended is said at the end, behind what was ended with it, and the run has failed", () => {
    const cut = aGoal({}, { status: "limited", limit: "50k tokens", wrapUp: "cut", at: T0 });
    terminal.observe(goal(aGoal(), cut, "overrun"));
    expect(terminal.said).toEqual([]);
    terminal.currentGoal = cut;
    terminal.observe(idle());
    expect(terminal.said).toEqual([
      `the goal is limited: 50k tokens used up and a quarter more; the turn was ended; ${GO_ON}`,
    ]);
    expect(terminal.failed).toBe(1);
  });

  test("whose turn was ended in an earlier run is not this run's business", () => {
    terminal.currentGoal = aGoal({}, { status: "limited", limit: "50k tokens", wrapUp: "cut", at: T0 });
    terminal.observe(goal(undefined, terminal.currentGoal, "restored"), idle());
    expect([terminal.said, terminal.failed]).toEqual([[], 0]);
  });

  test.each([
    goal(undefined, aGoal(), "set"),
    goal(aGoal(), aGoal({ failures: 1 }), "turn-ended"),
    goal(aGoalThatIs("paused"), aGoal(), "set"),
    goal(undefined, aGoalThatIs("paused"), "restored"),
    goal(aGoal(), undefined, "set"),
  ])("says nothing that is no news, or that its user has said (%#)", (observation) => {
    terminal.observe(observation);
    expect(terminal.said).toEqual([]);
  });
});

describe("at the end of the process", () => {
  test("what works is named as left behind", () => {
    terminal.tasks = [
      aTask(),
      aQueuedTask({ id: "ses_2", title: "count" }),
      anEndedTask({ id: "ses_3", delivery: delivered() }),
    ];
    terminal.observe(idle());
    expect(terminal.said).toEqual(['2 background tasks end with OpenCode: "look at the tests", "count"']);
    terminal = new Terminal();
    terminal.tasks = [aTask()];
    terminal.observe(idle());
    expect(terminal.said).toEqual(['1 background task ends with OpenCode: "look at the tests"']);
  });

  test("outcomes that nobody has told the agent are named, too", () => {
    terminal.tasks = [anEndedTask(), anEndedTask({ id: "ses_2", title: "count", delivery: { state: "not-owed" } })];
    terminal.observe(idle());
    expect(terminal.said).toEqual(['the agent was not told how 1 background task ended: "look at the tests"']);
  });

  test("a goal that has come to no end is named, with what it waits for; that the agent worked is no reason", () => {
    terminal.currentGoal = aGoal();
    terminal.decision = {
      kind: "wait",
      reasons: [
        { why: "root-busy", until: T0 + SECOND },
        { why: "asleep", endedBy: "user" },
        { why: "back-off", failures: 2, until: T0 + 4 * SECOND },
      ],
    };
    terminal.observe(idle());
    expect(terminal.said).toEqual([
      `the goal is still active: sleeping since OpenCode was started again (until you act); 2 failed turns, trying again (at most 4s more); ${GO_ON}`,
    ]);
    expect(terminal.failed).toBe(0);
  });

  test("one that waits for nothing is named all the same", () => {
    terminal.currentGoal = aGoal();
    terminal.observe(idle());
    expect(terminal.said).toEqual([`the goal is still active; ${GO_ON}`]);
  });

  test.each([undefined, aGoalThatIs("complete"), aGoalThatIs("blocked"), aGoalThatIs("paused")])(
    "nothing is said about a goal that has said it all, or about none (%#)",
    (currentGoal) => {
      terminal.currentGoal = currentGoal;
      terminal.observe(idle());
      expect(terminal.said).toEqual([]);
    },
  );

  test("it is all said once: a failed turn publishes its idle twice", () => {
    terminal.currentGoal = aGoal();
    terminal.observe(idle(), idle());
    expect(terminal.said).toHaveLength(1);
  });

  test("the idle of a child is not the end", () => {
    terminal.tasks = [aTask()];
    terminal.observe(idle(CHILD));
    expect(terminal.said).toEqual([]);
  });
});

describe("a message that keeps the turn going and has come too late", () => {
  const LOST = `OpenCode ended the turn before the message that continues it was stored; nothing is lost, ${GO_ON}`;

  test.each(["continuation", "wrapup", "waiting"] as const)("is no success: %s", (kind) => {
    terminal.currentGoal = aGoal();
    terminal.observe(outbox("reserved", kind), outbox("sending", kind), outbox("sent", kind), idle());
    expect(terminal.said).toEqual([LOST]);
    expect(terminal.failed).toBe(1);
  });

  test("one that was answered is one", () => {
    terminal.observe(outbox("sending"), outbox("sent"), outbox("empty"), idle());
    expect([terminal.said, terminal.failed]).toEqual([[], 0]);
  });

  test("a report is told by the next process: nothing that was asked for is missing", () => {
    terminal.observe(outbox("sending", "task-outcome"), idle());
    expect([terminal.said, terminal.failed]).toEqual([[], 0]);
  });

  test("one that was never sent is none", () => {
    terminal.observe(outbox("reserved"), idle());
    expect([terminal.said, terminal.failed]).toEqual([[], 0]);
  });
});

describe("books that cannot be written", () => {
  test("are said once, until they can", () => {
    terminal.observe(saved("failed"), saved("failed"));
    expect(terminal.said).toEqual(["goal and tasks of this session could not be stored; it is tried again: disk full"]);
    terminal.observe(saved("ok"), saved("failed"));
    expect(terminal.said).toHaveLength(2);
  });

  test("by the end of the process are no success; books that could be written by then are one", () => {
    terminal.observe(saved("failed"), saved("ok"), idle());
    expect([terminal.said.length, terminal.failed]).toEqual([1, 0]);
    terminal = new Terminal();
    terminal.observe(saved("failed"), idle());
    expect([terminal.said.at(-1), terminal.failed]).toEqual([
      "goal and tasks of this session are not stored as they are now: the next run finds what could be stored last",
      1,
    ]);
  });

  test("a goal that is paused for that is not found by the next run", () => {
    const paused = aGoal({}, { status: "paused", by: "storage", reason: "disk full", at: T0 });
    terminal.observe(goal(aGoal(), paused, "turn-ended"));
    expect(terminal.said).toEqual(["the goal is paused: disk full"]);
  });
});

test("what happens inside needs no words", () => {
  const decision: Decision = { kind: "wait", reasons: [{ why: "root-busy", until: T0 }] };
  terminal.observe({ type: "decision", rootID: ROOT, decision });
  terminal.observe({ type: "effect", rootID: ROOT, effect: { type: "release", rootID: ROOT } });
  terminal.observe({ type: "input", rootID: undefined, input: { type: "clock" } });
  expect([terminal.err, terminal.out]).toEqual([[], []]);
});

describe("with --format json", () => {
  beforeEach(() => {
    terminal = new Terminal("json");
  });

  test("every change is one JSON line on stdout with what a program needs, and stderr is left alone", () => {
    terminal.observe(holds(live("alpha")));
    terminal.now += 1_500;
    terminal.observe(lets("ceiling"));
    const error = { name: "APIError", message: "401" };
    terminal.observe(task(aTask(), anEndedTask({ status: "failed", outcome: { error } })));
    terminal.observe(goal(aGoal(), aGoal({ turns: 1 }), "continued"), saved("failed"), saved("ok"));
    terminal.tasks = [aTask()];
    terminal.observe(outbox("sent"), idle());
    for (const line of terminal.out) expect(line).toMatch(/^\{.*\}\n$/);
    const common = { type: "goalkeeper", sessionID: ROOT, timestamp: expect.any(Number), message: expect.any(String) };
    expect(terminal.events).toEqual([
      {
        ...common,
        event: "waiting",
        tasks: [{ id: "ses_alpha", title: "alpha", status: "running" }],
        until: T0 + 60 * SECOND,
      },
      { ...common, event: "waited", waitedMs: 1_500 },
      { ...common, event: "task", task: { id: CHILD, title: "look at the tests", status: "failed", reason: "401" } },
      { ...common, event: "goal", status: "active", turns: 1 },
      { ...common, event: "storage", reason: "disk full" },
      { ...common, event: "left", tasks: [{ id: CHILD, title: "look at the tests", status: "running" }] },
      { ...common, event: "lost" },
    ]);
    expect(terminal.err).toEqual([]);
  });

  test("without a ceiling there is no moment, and of a success no reason", () => {
    const hold = { kind: "hold", reasons: [live("alpha")], until: Number.POSITIVE_INFINITY } as const;
    terminal.observe({ type: "hold", rootID: ROOT, hold }, task(aTask(), anEndedTask()));
    expect(terminal.events[0]).not.toHaveProperty("until");
    expect(terminal.events[1]).toHaveProperty("task", { id: CHILD, title: "look at the tests", status: "completed" });
  });
});
