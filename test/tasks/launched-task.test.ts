import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Reading } from "../../src/tasks/outcome.ts";
import {
  isEnded,
  isSeated,
  isWaiting,
  type Launch,
  type Origin,
  type QueuedTask,
  type RunningTask,
  type Task,
  type TaskTiming,
  taskDeadline,
} from "../../src/tasks/task.ts";
import type { TaskEffect, TaskEvent, TransitionContext } from "../../src/tasks/task-event.ts";
import { transition } from "../../src/tasks/transition.ts";
import {
  aLook,
  aMissingTask,
  anEndedTask,
  aQueuedTask,
  aReading,
  aTask,
  CHILD,
  delivered,
  GONE,
  hostTells,
  known,
  OURS,
  ROOT,
  T0,
  TIMING,
  UNKNOWN,
} from "../support/builders.ts";

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const LAUNCH: Launch = { voice: { agent: "general", model: { providerID: "p", modelID: "m" } }, unstable: false };
const RUN = { number: 1, startedAt: T0, promptID: "msg_5" } as const;
const LAUNCHED = { origin: "launched", launch: LAUNCH, run: RUN } as const;
const SENT_RUN = { ...RUN, attempt: 1 } as const;

const BUSY: TaskEvent = { type: "busy" };
const IDLE: TaskEvent = { type: "idle" };
const CLOCK: TaskEvent = { type: "clock" };
const TAKEN: TaskEvent = { type: "sent", run: 1, answer: known("sent") };
const REFUSED: TaskEvent = { type: "sent", run: 1, answer: { kind: "unknown", reason: "scripted 500" } };
const CANCEL: TaskEvent = { type: "cancel", reason: "not needed any more", text: undefined };
const ERROR = { name: "UnknownError", message: "Agent not found: nobody" };
const ERRORED: TaskEvent = { type: "errored", error: ERROR };
const ABORT: TaskEffect = { type: "abort", taskID: CHILD, run: 1 };
const LOOK: TaskEffect = { type: "look", taskID: CHILD, run: 1, scope: "transcript" };
const USAGE = { tokens: 1_200, cost: 0.02 };

const FINISHED = aReading({ kind: "finished", text: "the result", usage: USAGE });
const NOT_BEGUN = aReading({ kind: "unfinished", text: "", begun: false });
const BEGUN = aReading({ kind: "unfinished", text: "so far", begun: true });

/** It waits for a slot. */
function waiting(more: Partial<QueuedTask> = {}): QueuedTask {
  return aQueuedTask({ ...LAUNCHED, waits: { for: "slot", prompt: "do it" }, ...more });
}

/** Its prompt is on its way since T0, for the first time. */
function onItsWay(more: Partial<QueuedTask> = {}): QueuedTask {
  const waits = { for: "turn", prompt: "do it", until: T0 + 15 * SECOND } as const;
  return aQueuedTask({ ...LAUNCHED, run: SENT_RUN, waits, ...more });
}

function running(more: Partial<RunningTask> = {}): RunningTask {
  return aTask({ ...LAUNCHED, run: SENT_RUN, ...more });
}

function looked(reading: Reading, more: Parameters<typeof aLook>[1] = {}): TaskEvent {
  return { type: "looked", run: 1, look: aLook(reading, more) };
}

/** A look at the transcript alone. */
function read(reading: Reading): TaskEvent {
  return looked(reading, { shown: UNKNOWN, listed: UNKNOWN });
}

interface Surroundings {
  readonly lastSignAt?: number;
  readonly isBusy?: boolean;
  readonly toolRuns?: boolean;
  readonly ownWork?: boolean;
  readonly timing?: TaskTiming;
}

/** A task to which things happen, each so many milliseconds after T0. */
class Life {
  constructor(public task: Task) {}

  /** What the last event asked for. */
  effects: readonly TaskEffect[] = [];

  at(
    ms: number,
    event: TaskEvent,
    { lastSignAt = T0, isBusy = false, toolRuns = false, ownWork = false, timing = TIMING }: Surroundings = {},
  ): this {
    const context: TransitionContext = {
      now: T0 + ms,
      timing,
      lastSignAt,
      runsElsewhere: false,
      isBusy,
      parentIsBusy: false,
      toolRuns,
      hasOwnWork: () => ownWork,
    };
    const { task, effects } = transition(this.task, event, context);
    this.task = task;
    this.effects = effects;
    return this;
  }

  /** The clock rings at its deadline, and nothing was heard of the child since T0. */
  rings(around: Surroundings = {}): this {
    return this.at(this.deadline, CLOCK, around);
  }

  /** After so many milliseconds, counted from T0. */
  get deadline(): number {
    return taskDeadline(this.task) - T0;
  }
}

function start(more: Partial<Extract<TaskEffect, { type: "start" }>> = {}): TaskEffect {
  const message = { promptID: "msg_5", prompt: "do it", voice: LAUNCH.voice };
  return { type: "start", taskID: CHILD, run: 1, ...message, mayBeThere: false, ...more };
}

function failedFor(reason: string) {
  return {
    status: "failed",
    outcome: { error: { name: "StartError", message: expect.stringContaining(reason) } },
    delivery: OURS,
  };
}

describe("waiting for a slot", () => {
  test("a launched task waits without a deadline until it is admitted", () => {
    const life = new Life(waiting());
    expect(life.deadline).toBe(Number.POSITIVE_INFINITY);
    expect(life.at(HOUR, CLOCK).task).toEqual(waiting());
    expect(life.effects).toEqual([]);
  });

  test("admitted, it sends its prompt once", () => {
    const life = new Life(waiting()).at(MINUTE, { type: "admitted" });
    expect(life.effects).toEqual([start()]);
    expect(life.task).toMatchObject({ status: "queued", waits: { for: "turn", prompt: "do it" }, run: { attempt: 1 } });
    const sent = life.task;
    expect(life.at(MINUTE, { type: "admitted" }).task).toBe(sent);
    expect(life.effects).toEqual([]);
  });

  test("admitted, its clocks start anew: the time in the queue is no part of its run", () => {
    expect(new Life(waiting()).at(HOUR, { type: "admitted" }).task.run).toEqual({
      number: 1,
      promptID: "msg_5",
      startedAt: T0 + HOUR,
      attempt: 1,
    });
  });

  test("found again after a restart it waits for a slot once more, and its session has the prompt", () => {
    const stored = aQueuedTask({ ...LAUNCHED, waits: { for: "slot" } });
    const life = new Life(stored).at(MINUTE, { type: "restarted", runner: "next", waits: true });
    expect(life.task).toEqual({ ...stored, runner: "next" });
    life.at(MINUTE, { type: "admitted" });
    // The process before this one may have sent it, and not have lived to write that down.
    expect(life.effects).toEqual([start({ prompt: undefined, mayBeThere: true })]);
  });

  const ofAnEarlierRun: TaskEvent[] = [
    BUSY,
    IDLE,
    { type: "aborted" },
    ERRORED,
    { type: "prompted", promptID: "msg_4" },
    { type: "prompted", promptID: "msg_5" },
    { type: "status-read", shown: true },
    { type: "status-read", shown: false },
    TAKEN,
    { type: "own-work-over" },
    looked(FINISHED),
  ];

  test.each(ofAnEarlierRun)("nothing that is seen of its session is its own yet (T9): %o", (event) => {
    const task = waiting();
    const life = new Life(task).at(HOUR, event);
    expect(life.task).toBe(task);
    expect(life.effects).toEqual([]);
  });

  test("cancelled, it ends at once and nothing is aborted", () => {
    const life = new Life(waiting()).at(SECOND, CANCEL);
    expect(life.task).toMatchObject({
      status: "cancelled",
      endedAt: T0 + SECOND,
      outcome: { reason: "not needed any more" },
      delivery: OURS,
    });
    expect(life.effects).toEqual([]);
  });

  test("deleted, it is cancelled and nothing is aborted", () => {
    const life = new Life(waiting()).at(SECOND, { type: "deleted", text: undefined });
    expect(life.task).toMatchObject({ status: "cancelled", delivery: OURS });
    expect(life.effects).toEqual([]);
  });
});

describe("a start that is refused", () => {
  test("is tried again after 1, 2 and 4 seconds, and fails with the reason when the last try is refused, too", () => {
    const life = new Life(waiting()).at(0, { type: "admitted" });
    let now = 0;
    for (const pause of [1, 2, 4]) {
      life.at(now, REFUSED);
      expect(life.effects).toEqual([]);
      expect(life.deadline).toBe(now + pause * SECOND);
      now = life.deadline;
      life.at(now, CLOCK);
      expect(life.effects).toEqual([start({ mayBeThere: true })]);
    }
    expect(life.at(now, REFUSED).task).toMatchObject(failedFor("scripted 500"));
    expect(life.effects).toEqual([]);
  });

  test("is not tried before its pause is over", () => {
    const life = new Life(onItsWay()).at(0, REFUSED);
    const { task } = life;
    expect(life.at(SECOND - 1, CLOCK).task).toBe(task);
    expect(life.effects).toEqual([]);
  });

  test("that nobody answers is tried again after 15 seconds", () => {
    const life = new Life(onItsWay());
    expect(life.deadline).toBe(15 * SECOND);
    expect(life.rings().effects).toEqual([start({ mayBeThere: true })]);
    expect(life.deadline).toBe(30 * SECOND);
  });

  test("because its session is gone cancels the task", () => {
    const life = new Life(onItsWay()).at(SECOND, { type: "sent", run: 1, answer: GONE });
    expect(life.task).toMatchObject({ status: "cancelled", outcome: { reason: "its session was deleted" } });
    expect(life.task).toMatchObject({ delivery: OURS });
    expect(life.effects).toEqual([]);
  });

  test("ends with one outcome, and the answer to an earlier run's prompt is none to this one's", () => {
    const task = onItsWay({ run: { ...SENT_RUN, number: 2 } });
    for (const event of [TAKEN, REFUSED]) {
      const life = new Life(task).at(SECOND, event);
      expect(life.task).toBe(task);
      expect(life.effects).toEqual([]);
    }
  });
});

describe("a prompt that was taken", () => {
  test("has ten seconds to begin its turn, and is then sent again after a look whether it is there", () => {
    const life = new Life(onItsWay()).at(20, TAKEN);
    expect(life.effects).toEqual([]);
    expect(life.deadline).toBe(10 * SECOND + 20);
    expect(life.rings().effects).toEqual([start({ mayBeThere: true })]);
    expect(life.task).toMatchObject({ status: "queued", waits: { for: "turn" }, run: { attempt: 2 } });
  });

  test("and begins no turn four times over fails its task", () => {
    const life = new Life(waiting()).at(0, { type: "admitted" });
    for (let attempt = 1; attempt <= 4; attempt++) {
      expect(life.task).toMatchObject({ status: "queued", run: { attempt } });
      life.at(life.deadline - 15 * SECOND, TAKEN).rings();
    }
    expect(life.task).toMatchObject(failedFor("did not start a turn"));
    expect(life.effects).toEqual([]);
  });

  test("waits for the turn of its user that works there: no attempt has failed, and none is made", () => {
    const life = new Life(onItsWay()).at(20, TAKEN);
    const { run } = life.task;
    for (let now = life.deadline; now <= HOUR; now = life.deadline) {
      life.at(now, CLOCK, { isBusy: true, lastSignAt: T0 + now });
      expect(life.effects).toEqual([]);
      expect(life.task).toMatchObject({ status: "queued", waits: { for: "turn", prompt: "do it" }, run });
      expect(life.deadline).toBeLessThanOrEqual(now + 10 * SECOND);
    }
    // That turn was aborted, which leaves the prompt unanswered.
    expect(life.rings().effects).toEqual([start({ mayBeThere: true })]);
  });

  test("is asked for after a silence, and given up after a long one, as if that turn were its own", () => {
    const life = new Life(onItsWay()).at(20, TAKEN);
    life.at(31 * SECOND, CLOCK, { isBusy: true });
    expect(life.effects).toEqual([{ type: "ask-statuses" }]);
    while (life.task.status === "queued") life.rings({ isBusy: true });
    expect(life.task).toMatchObject({ status: "cancelled", endedAt: T0 + TIMING.staleMs });
    expect(life.effects).toEqual([ABORT]);
  });

  test("and was refused for a reason fails its task at once, whoever works in its session", () => {
    const life = new Life(onItsWay()).at(20, TAKEN).at(30, ERRORED);
    expect(life.rings({ isBusy: true }).task).toMatchObject(failedFor(ERROR.message));
  });

  test("is stored, which is no beginning of its turn: the wake-up may have got lost (D4)", () => {
    const life = new Life(onItsWay()).at(8, { type: "prompted", promptID: "msg_5" }).at(20, TAKEN);
    expect(life.deadline).toBeLessThanOrEqual(15 * SECOND);
    expect(life.rings().effects).toEqual([start({ mayBeThere: true })]);
  });

  test("and begins its turn makes the task running, whichever is heard first", () => {
    for (const events of [
      [TAKEN, BUSY],
      [BUSY, TAKEN],
    ]) {
      const life = new Life(onItsWay());
      for (const event of events) life.at(20, event);
      expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" }, run: SENT_RUN });
      expect(life.effects).toEqual([]);
    }
  });

  test("and was answered already makes the task running, to be read when it is idle", () => {
    const life = new Life(onItsWay()).at(SECOND, { type: "sent", run: 1, answer: known("answered") });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test("by a process that is gone, and answered there, is looked at like any other work of that process", () => {
    const stored = onItsWay({ waits: { for: "turn", until: T0 + 15 * SECOND } });
    const life = new Life(stored).at(SECOND, { type: "sent", run: 1, answer: known("answered") });
    expect(life.task).toMatchObject({ status: "missing", doubt: "restart", lookAt: T0 + SECOND });
  });

  test("is not answered by another message that the child gets", () => {
    const task = onItsWay();
    expect(new Life(task).at(20, { type: "prompted", promptID: "msg_4" }).task).toBe(task);
  });
});

describe("a start that was given up", () => {
  const givenUp = () => new Life(onItsWay({ run: { ...RUN, attempt: 4 } })).at(SECOND, REFUSED);

  test.each([BUSY, TAKEN])(
    "is over: a turn that begins after all is ended, for nobody would hear of it (%#)",
    (event) => {
      const life = givenUp();
      const failed = life.task;
      expect(failed).toMatchObject(failedFor("scripted 500"));
      expect(life.at(2 * SECOND, event).task).toBe(failed);
      expect(life.effects).toEqual([ABORT]);
    },
  );

  test("does not end what its user does there later; the late answer to its own prompt still is an unwanted turn", () => {
    expect(givenUp().at(11 * SECOND, BUSY).effects).toEqual([]);
    expect(givenUp().at(11 * SECOND, TAKEN).effects).toEqual([ABORT]);
  });
});

describe("an error that is reported while the prompt is on its way", () => {
  test("fails the task with its text, long before anything would be sent again", () => {
    const life = new Life(onItsWay()).at(3, ERRORED).at(20, TAKEN);
    expect(life.deadline).toBeLessThanOrEqual(SECOND);
    expect(life.rings().task).toMatchObject(failedFor(ERROR.message));
    expect(life.effects).toEqual([]);
  });

  test("fails it, too, when the answer was heard first", () => {
    const life = new Life(onItsWay()).at(20, TAKEN).at(23, ERRORED);
    expect(life.deadline).toBeLessThanOrEqual(SECOND);
    expect(life.rings().task).toMatchObject(failedFor(ERROR.message));
  });

  test("puts nothing off that comes sooner", () => {
    const life = new Life(onItsWay()).at(0, REFUSED).at(900, ERRORED);
    expect(life.deadline).toBe(SECOND);
    expect(life.rings().task).toMatchObject(failedFor(ERROR.message));
  });

  test("is that of the first one: the host repeats it with its stack", () => {
    const again: TaskEvent = { type: "errored", error: { name: "UnknownError", message: "at <anonymous>" } };
    expect(new Life(onItsWay()).at(3, ERRORED).at(4, again).rings().task).toMatchObject(failedFor(ERROR.message));
  });

  test("does not fail a task whose turn begins all the same", () => {
    const life = new Life(onItsWay()).at(3, ERRORED).at(20, BUSY);
    expect(life.rings({ lastSignAt: T0 + life.deadline }).task).toMatchObject({ status: "running" });
    expect(life.at(2 * MINUTE, IDLE).at(2 * MINUTE, read(FINISHED)).task).toMatchObject({ status: "completed" });
  });

  test("and ends a turn without an answer, as that of an unknown model, is why the task failed", () => {
    const missing: TaskEvent = { type: "errored", error: { name: "UnknownError", message: "Model not found: p/m." } };
    const life = new Life(onItsWay()).at(19, BUSY).at(20, missing).at(20, IDLE).at(21, TAKEN);
    life.at(25, read(NOT_BEGUN)).rings();
    expect(life.effects).toEqual([LOOK]);
    expect(life.at(life.deadline, read(NOT_BEGUN)).task).toMatchObject(failedFor("Model not found: p/m."));
    expect(life.effects).toEqual([]);
  });

  test("of a child that others made is noted, and ends nothing", () => {
    const task = aQueuedTask({ origin: "adopted" });
    expect(new Life(task).at(3, ERRORED).task).toEqual({ ...task, run: { ...task.run, error: ERRORED.error } });
  });
});

describe("events of an earlier run that come late (T9)", () => {
  const LATE: TaskEvent[] = [
    IDLE,
    { type: "aborted" },
    { type: "prompted", promptID: "msg_4" },
    { type: "status-read", shown: false },
    { type: "status-read", shown: true },
    { type: "looked", run: 0, look: aLook(FINISHED) },
    looked(FINISHED),
  ];

  test.each(LATE)("do not touch a run whose prompt is on its way: %o", (event) => {
    const task = onItsWay();
    const life = new Life(task).at(SECOND, event);
    expect(life.task).toBe(task);
    expect(life.effects).toEqual([]);
  });
});

describe("a cancel while the prompt is on its way", () => {
  test("ends the task at once and aborts its turn", () => {
    const life = new Life(onItsWay()).at(SECOND, CANCEL);
    expect(life.task).toMatchObject({ status: "cancelled", endedAt: T0 + SECOND });
    expect(life.effects).toEqual([ABORT]);
  });

  test("aborts once more when the host says afterwards that it has taken the prompt (T13)", () => {
    const life = new Life(onItsWay()).at(10, CANCEL);
    const cancelled = life.task;
    expect(life.at(20, TAKEN).task).toBe(cancelled);
    expect(life.effects).toEqual([ABORT]);
  });

  test("aborts nothing more when the prompt was refused, or belonged to an earlier run", () => {
    const cancelled = new Life(onItsWay()).at(10, CANCEL).task;
    for (const event of [REFUSED, { ...TAKEN, run: 0 } as TaskEvent]) {
      const life = new Life(cancelled).at(20, event);
      expect(life.task).toBe(cancelled);
      expect(life.effects).toEqual([]);
    }
  });

  test("aborts once more when its turn begins after all: a hook of some plugin had held the prompt back (T13)", () => {
    const life = new Life(onItsWay()).at(10, CANCEL).at(20, TAKEN);
    const cancelled = life.task;
    expect(life.at(200, BUSY).task).toBe(cancelled);
    expect(life.effects).toEqual([ABORT]);
  });

  test("watches out for that turn for as long as it might begin, ten seconds", () => {
    const cancelled = () => new Life(onItsWay()).at(10, CANCEL);
    expect(cancelled().at(10 * SECOND + 9, BUSY).effects).toEqual([ABORT]);
    expect(cancelled().at(10 * SECOND + 10, BUSY).effects).toEqual([]);
    expect(cancelled().at(10 * SECOND + 10, TAKEN).effects).toEqual([ABORT]);
  });

  test("that came before any prompt was sent has no turn to end: what is busy there is somebody else's", () => {
    const life = new Life(waiting()).at(10, CANCEL).at(200, BUSY);
    expect(life.effects).toEqual([]);
  });
});

describe("whatever is busy in a child that has ended", () => {
  test("long after the cancel is its user's doing, a command or a compaction, and is not aborted", () => {
    const life = new Life(running()).at(MINUTE, CANCEL).at(MINUTE + 20, read(BEGUN));
    expect(life.at(6 * MINUTE, BUSY).effects).toEqual([]);
  });

  test.each(["completed", "failed", "lost"] as const)("is left alone when it was %s", (status) => {
    const life = new Life(anEndedTask({ ...LAUNCHED, run: SENT_RUN, status })).at(SECOND, BUSY);
    expect(life.effects).toEqual([]);
  });

  test("is left alone when others made it", () => {
    for (const run of [RUN, SENT_RUN]) {
      const life = new Life(anEndedTask({ origin: "background", status: "cancelled", run })).at(SECOND, BUSY);
      expect(life.effects).toEqual([]);
    }
  });

  test("and has completed before the answer to its prompt came is not aborted by that answer", () => {
    const life = new Life(anEndedTask({ ...LAUNCHED, run: SENT_RUN })).at(3 * SECOND, TAKEN);
    expect(life.effects).toEqual([]);
  });
});

describe("a cancel of a running task", () => {
  const doubted = aMissingTask({ ...LAUNCHED, run: SENT_RUN });
  const idle = running({ observed: { kind: "idle", since: T0, lookAt: T0 } });
  const waitsForOwn = running({ observed: { kind: "awaits-own", since: T0 } });

  test.each([running(), idle, waitsForOwn, doubted])("ends it at once, and its turn with it (%#)", (task) => {
    const life = new Life(task).at(SECOND, CANCEL);
    expect(life.task).toMatchObject({ status: "cancelled", endedAt: T0 + SECOND });
    expect(life.task).toMatchObject({ outcome: { reason: "not needed any more" } });
    expect(life.effects).toEqual([ABORT]);
  });

  test("is told when its transcript was read, with its partial output and what it has cost", () => {
    const life = new Life(running()).at(SECOND, CANCEL);
    expect(life.task).toMatchObject({ delivery: hostTells(T0 + 3 * SECOND) });
    const left = aReading({ kind: "aborted", text: "half of it", usage: USAGE });
    expect(life.at(SECOND + 20, read(left)).task).toMatchObject({
      status: "cancelled",
      outcome: { reason: "not needed any more", text: "half of it", usage: USAGE },
      delivery: OURS,
    });
  });

  test("is told two seconds later when nothing could be read, with the text that was heard of it (T14)", () => {
    const heard: TaskEvent = { ...CANCEL, text: "half of it" } as TaskEvent;
    const life = new Life(running()).at(SECOND, heard);
    expect(life.at(SECOND + 20, looked(FINISHED, { reading: UNKNOWN })).task).toMatchObject({
      delivery: hostTells(T0 + 3 * SECOND),
    });
    expect(life.deadline).toBe(3 * SECOND);
    expect(life.rings().task).toMatchObject({ outcome: { text: "half of it" }, delivery: OURS });
  });

  test("keeps the text that was heard of it when its transcript has none", () => {
    const heard: TaskEvent = { ...CANCEL, text: "half of it" } as TaskEvent;
    const nothing = aReading({ kind: "aborted", text: "" });
    expect(new Life(running()).at(SECOND, heard).at(SECOND + 20, read(nothing)).task).toMatchObject({
      outcome: { text: "half of it" },
      delivery: OURS,
    });
  });

  test("without any text has no output, not an empty one", () => {
    const nothing = aReading({ kind: "aborted", text: "" });
    const life = new Life(running()).at(SECOND, CANCEL).at(SECOND + 20, read(nothing));
    expect(life.task).not.toHaveProperty("outcome.text");
  });

  test("stays a cancel, whatever its transcript says and its session publishes", () => {
    const life = new Life(running()).at(SECOND, CANCEL);
    for (const event of [IDLE, { type: "aborted" } as const, ERRORED, read(FINISHED)]) life.at(SECOND + 20, event);
    expect(life.task).toMatchObject({ status: "cancelled", outcome: { reason: "not needed any more" } });
  });

  test("of a child that others made aborts it as well, and we tell nobody", () => {
    const life = new Life(aTask({ origin: "adopted" })).at(SECOND, CANCEL);
    expect(life.task).toMatchObject({ status: "cancelled", delivery: { state: "pending", teller: "maker" } });
    expect(life.effects).toEqual([ABORT]);
    // Whoever made it may tell, for two seconds.
    expect(life.rings().task).toMatchObject({ endedAt: T0 + SECOND, delivery: { state: "not-owed" } });
    expect(life.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("that has ended already changes nothing and aborts nothing", () => {
    const task = anEndedTask(LAUNCHED);
    const life = new Life(task).at(SECOND, CANCEL);
    expect(life.task).toBe(task);
    expect(life.effects).toEqual([]);
  });
});

describe("a deletion of a launched task", () => {
  test.each([onItsWay(), running(), aMissingTask({ ...LAUNCHED, run: SENT_RUN })])(
    "ends its turn, too: it may begin after the deletion (%#)",
    (task) => {
      expect(new Life(task).at(SECOND, { type: "deleted", text: undefined }).effects).toEqual([ABORT]);
    },
  );

  test("aborts nothing of a child that others made, or that has ended", () => {
    for (const task of [aTask(), anEndedTask(LAUNCHED)]) {
      expect(new Life(task).at(SECOND, { type: "deleted", text: undefined }).effects).toEqual([]);
    }
  });
});

describe("stale", () => {
  const STALE = TIMING.staleMs;

  test("without a sign of life and without a running tool it is cancelled, told, and its turn ended", () => {
    const life = new Life(running()).at(STALE, CLOCK);
    expect(life.task).toMatchObject({
      status: "cancelled",
      outcome: { reason: "nothing was heard of it for 10m 0s" },
      delivery: hostTells(T0 + STALE + 2 * SECOND),
    });
    expect(life.effects).toEqual([ABORT]);
    const left = aReading({ kind: "aborted", text: "half of it" });
    expect(life.at(STALE + 20, read(left)).task).toMatchObject({ outcome: { text: "half of it" }, delivery: OURS });
  });

  test("not a moment before, counted from the last sign", () => {
    const lastSignAt = T0 + MINUTE;
    const early = new Life(running()).at(STALE + MINUTE - 1, CLOCK, { lastSignAt });
    expect(early.task).toMatchObject({ status: "running", observed: { askAt: lastSignAt + STALE } });
    expect(new Life(running()).at(STALE + MINUTE, CLOCK, { lastSignAt }).task).toMatchObject({
      status: "cancelled",
      outcome: { reason: "nothing was heard of it for 10m 0s" },
    });
  });

  test.each([STALE, 40 * SECOND])("the clock rings for it by itself, however quiet it is (after %d ms)", (staleMs) => {
    const timing = { ...TIMING, staleMs };
    const life = new Life(onItsWay()).at(0, BUSY, { timing });
    let rings = 0;
    while (life.task.status === "running" && rings++ < 100) life.rings({ timing });
    expect(life.task).toMatchObject({ status: "cancelled", endedAt: T0 + staleMs });
  });

  test("never by age: a task of many hours that still gives signs works on", () => {
    const life = new Life(running());
    for (let now = MINUTE; now <= 10 * HOUR; now += MINUTE) life.at(now, CLOCK, { lastSignAt: T0 + now - 50 * SECOND });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test("never while a tool runs, however silent that is", () => {
    const life = new Life(running());
    for (let now = MINUTE; now <= 10 * HOUR; now += MINUTE) life.at(now, CLOCK, { toolRuns: true });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
    // The end of the tool is a sign.
    const lastSignAt = T0 + 10 * HOUR;
    expect(life.at(10 * HOUR + STALE - 1, CLOCK, { lastSignAt }).task).toMatchObject({ status: "running" });
    expect(life.at(10 * HOUR + STALE, CLOCK, { lastSignAt }).task).toMatchObject({ status: "cancelled" });
  });

  test("never with staleMs 0", () => {
    const timing = { ...TIMING, staleMs: 0 };
    const life = new Life(onItsWay()).at(20, BUSY, { timing });
    for (let now = MINUTE; now <= 10 * HOUR; now += MINUTE) life.at(now, CLOCK, { timing });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test.each(["foreground", "background", "adopted"] satisfies Origin[])("never a child that is %s", (origin) => {
    const life = new Life(aTask({ origin })).at(10 * HOUR, CLOCK);
    expect(life.task.status).toBe("running");
    expect(life.effects).toEqual([{ type: "ask-statuses" }]);
  });

  test("the time in the queue does not count: its clocks start with its prompt", () => {
    const life = new Life(waiting()).at(HOUR, { type: "admitted" }).at(HOUR + 20, BUSY);
    expect(life.deadline).toBeGreaterThan(HOUR + 20);
    expect(life.rings({ lastSignAt: T0 + HOUR + 20 }).task).toMatchObject({ status: "running" });
  });
});

describe("a turn that has finished", () => {
  const idle = () => new Life(running()).at(MINUTE, IDLE);

  test("is looked at at once, and completes the task with its text and what it has cost", () => {
    const life = idle();
    expect(life.deadline).toBe(MINUTE);
    expect(life.rings().effects).toEqual([LOOK]);
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "idle", since: T0 + MINUTE } });
    expect(life.at(MINUTE + 4, read(FINISHED)).task).toMatchObject({
      status: "completed",
      outcome: { text: "the result", usage: USAGE },
      delivery: OURS,
    });
  });

  test("waits for tasks of its own without a deadline, and without a slot", () => {
    const life = idle().at(MINUTE + 4, read(FINISHED), { ownWork: true });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "awaits-own", since: T0 + MINUTE + 4 } });
    expect(life.deadline).toBe(Number.POSITIVE_INFINITY);
    const { task } = life;
    expect(life.at(10 * HOUR, CLOCK).task).toBe(task);
    expect(life.effects).toEqual([]);
    expect(isSeated(task)).toBe(false);
  });

  test("is looked at again when those are over, and completes then", () => {
    const life = idle()
      .at(MINUTE + 4, read(FINISHED), { ownWork: true })
      .at(HOUR, { type: "own-work-over" });
    expect(life.deadline).toBe(HOUR);
    expect(life.rings().effects).toEqual([LOOK]);
    expect(life.at(HOUR + 4, read(FINISHED)).task).toMatchObject({ status: "completed", delivery: OURS });
  });

  test("works again once it is busy; that it was told is not enough, for the wake-up may have got lost (D4)", () => {
    const waits = idle().at(MINUTE + 4, read(FINISHED), { ownWork: true }).task;
    expect(new Life(waits).at(HOUR, { type: "prompted", promptID: "msg_9" }).task).toBe(waits);
    expect(new Life(waits).at(HOUR, BUSY).task).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test("is not disturbed by what else is heard of it while it waits", () => {
    const waits = idle().at(MINUTE + 4, read(FINISHED), { ownWork: true }).task;
    for (const event of [IDLE, { type: "status-read", shown: false } as const, read(FINISHED), CLOCK]) {
      expect(new Life(waits).at(HOUR, event).task).toBe(waits);
    }
  });

  test("has own work to wait for, too, when it was doubted in between", () => {
    const doubted = aMissingTask({ ...LAUNCHED, run: SENT_RUN, doubt: "idle-unfinished" });
    const life = new Life(doubted).at(5 * SECOND, looked(FINISHED), { ownWork: true });
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "awaits-own" } });
  });

  test.each([
    ["failed", aReading({ kind: "failed", text: "t", error: ERROR })],
    ["cancelled", aReading({ kind: "aborted", text: "t" })],
    ["lost", BEGUN],
  ] as const)("one that is doubted and turns out to be %s has none to wait for", (status, reading) => {
    const doubted = aMissingTask({ ...LAUNCHED, run: SENT_RUN, doubt: "idle-unfinished" });
    const life = new Life(doubted).at(HOUR, looked(reading), { ownWork: true });
    expect(life.task).toMatchObject({ status, delivery: OURS });
  });

  test("has nothing to wait for after a restart: what it had does not wake it any more", () => {
    const found = aMissingTask({ ...LAUNCHED, run: SENT_RUN, doubt: "restart" });
    expect(new Life(found).at(20, looked(FINISHED), { ownWork: true }).task).toMatchObject({ status: "completed" });
  });

  test("that own work is over means nothing for a task that does not wait for it", () => {
    for (const task of [onItsWay(), running(), idle().task, anEndedTask(LAUNCHED)]) {
      expect(new Life(task).at(HOUR, { type: "own-work-over" }).task).toBe(task);
    }
  });

  test.each([
    ["failed", aReading({ kind: "failed", text: "t", error: ERROR })],
    ["cancelled", aReading({ kind: "aborted", text: "t" })],
  ] as const)("one that has %s does not wait for own work", (status, reading) => {
    const life = idle().at(MINUTE + 4, read(reading), { ownWork: true });
    expect(life.task).toMatchObject({ status, outcome: { text: "t" }, delivery: OURS });
  });
});

describe("an idle that came too early", () => {
  const early = () =>
    new Life(running())
      .at(MINUTE, IDLE)
      .rings()
      .at(MINUTE + 4, read(BEGUN));

  test("is looked at once more half a second after it, and then doubted", () => {
    const life = early();
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "idle", since: T0 + MINUTE } });
    expect(life.deadline).toBe(MINUTE + SECOND / 2);
    expect(life.rings().effects).toEqual([LOOK]);
    expect(life.at(MINUTE + SECOND / 2 + 4, read(BEGUN)).task).toMatchObject({
      status: "missing",
      doubt: "idle-unfinished",
      graceUntil: T0 + MINUTE + SECOND / 2 + 4 + TIMING.graceMs,
    });
  });

  test("is doubted by a look that comes back at the very end of that half second", () => {
    const life = new Life(running()).at(MINUTE, IDLE).at(MINUTE + SECOND / 2, read(BEGUN));
    expect(life.task).toMatchObject({ status: "missing" });
  });

  test("completes the task when the second look shows that it has finished", () => {
    expect(
      early()
        .rings()
        .at(MINUTE + 504, read(FINISHED)).task,
    ).toMatchObject({ status: "completed" });
  });

  test("is forgotten when the child works again", () => {
    const life = early().at(MINUTE + 100, BUSY);
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test("whose transcript could not be read is doubted", () => {
    const life = new Life(running()).at(MINUTE, IDLE).at(MINUTE + 4, looked(FINISHED, { reading: UNKNOWN }));
    expect(life.task).toMatchObject({ status: "missing", doubt: "idle-unfinished" });
  });
});

describe("a run without the beginning of an answer", () => {
  test("is sent again instead of doubted, after a look whether it is there", () => {
    const life = new Life(running()).at(MINUTE, IDLE).at(MINUTE + 600, read(NOT_BEGUN));
    // The record does not hold the prompt any more: its session does.
    expect(life.effects).toEqual([start({ prompt: undefined, mayBeThere: true })]);
    expect(life.task).toMatchObject({ status: "queued", waits: { for: "turn" }, run: { attempt: 2 } });
  });

  test("is sent again instead of lost when it is missing", () => {
    const life = new Life(aMissingTask({ ...LAUNCHED, run: SENT_RUN })).at(HOUR, looked(NOT_BEGUN));
    expect(life.effects).toEqual([start({ prompt: undefined, mayBeThere: true })]);
  });

  test("is not sent again while the host shows it as working", () => {
    const missing = aMissingTask({ ...LAUNCHED, run: SENT_RUN });
    const life = new Life(missing).at(SECOND, looked(NOT_BEGUN, { shown: known(true) }));
    expect(life.task).toMatchObject({ status: "running", observed: { kind: "alive" } });
    expect(life.effects).toEqual([]);
  });

  test("is lost like any other once it has begun, or when its session is gone", () => {
    const missing = aMissingTask({ ...LAUNCHED, run: SENT_RUN });
    for (const event of [looked(BEGUN), looked(NOT_BEGUN, { reading: GONE })]) {
      const life = new Life(missing).at(HOUR, event);
      expect(life.task).toMatchObject({ status: "lost", delivery: OURS });
      expect(life.effects).toEqual([]);
    }
  });

  test("is lost when others have prompted it: only they have the prompt", () => {
    const typedInto = aMissingTask({ ...LAUNCHED, run: { ...RUN, number: 2 } });
    for (const task of [aMissingTask(), aMissingTask({ ...LAUNCHED, origin: "adopted", run: SENT_RUN })]) {
      expect(new Life(task).at(HOUR, looked(NOT_BEGUN)).task).toMatchObject({ status: "lost" });
    }
    const second: TaskEvent = { type: "looked", run: 2, look: aLook(NOT_BEGUN) };
    expect(new Life(typedInto).at(HOUR, second).task).toMatchObject({ status: "lost" });
  });

  test("is sent four times at most, and has failed then", () => {
    const missing = aMissingTask({ ...LAUNCHED, run: { ...RUN, attempt: 4 } });
    const life = new Life(missing).at(HOUR, looked(NOT_BEGUN));
    expect(life.task).toMatchObject(failedFor("did not start a turn"));
    expect(life.effects).toEqual([]);
  });
});

describe("resume", () => {
  const RESUME: TaskEvent = { type: "resume", launch: LAUNCH, promptID: "msg_8", prompt: "and now this", runner: "me" };
  const ORIGINS: Origin[] = ["foreground", "background", "launched", "adopted"];

  test.each(ORIGINS)("an ended task that was %s begins its next run, as one that we launched (T10)", (origin) => {
    const ended = anEndedTask({
      origin,
      status: "failed",
      interruptedAt: T0,
      delivery: { state: "reconciled", at: T0 },
    });
    expect(new Life(ended).at(HOUR, RESUME).task).toEqual(
      aQueuedTask({
        origin: "launched",
        launch: LAUNCH,
        run: { number: 2, startedAt: T0 + HOUR, promptID: "msg_8" },
        waits: { for: "slot", prompt: "and now this" },
      }),
    );
  });

  test("keeps nothing of how the run before was sent, and runs as it is asked to", () => {
    const ended = anEndedTask({ ...LAUNCHED, run: { ...RUN, attempt: 3, callID: "call_1", error: ERROR } });
    const launch = { voice: { agent: "explore" }, unstable: true };
    const life = new Life(ended).at(HOUR, { ...RESUME, launch } as TaskEvent).at(2 * HOUR, { type: "admitted" });
    expect(life.task.run).toEqual({ number: 2, startedAt: T0 + 2 * HOUR, promptID: "msg_8", attempt: 1 });
    const message = { promptID: "msg_8", prompt: "and now this", voice: { agent: "explore" } };
    expect(life.effects).toEqual([start({ run: 2, ...message })]);
    expect(life.task.launch).toEqual(launch);
  });

  test("does nothing to a live task", () => {
    for (const task of [waiting(), onItsWay(), running(), aMissingTask(LAUNCHED)]) {
      expect(new Life(task).at(HOUR, RESUME).task).toBe(task);
    }
  });

  const ofRunOne: TaskEvent[] = [
    TAKEN,
    REFUSED,
    looked(FINISHED),
    { type: "delivered", run: 1, sessionID: ROOT, messageID: "msg_9" },
    { type: "reconciled", run: 1 },
    { type: "undelivered", run: 1, reason: "gone" },
    IDLE,
    { type: "aborted" },
  ];

  test("a look at the run before settles nothing of the next one", () => {
    const second = running({ run: { ...SENT_RUN, number: 2 }, observed: { kind: "idle", since: T0, lookAt: T0 } });
    expect(new Life(second).at(SECOND, read(FINISHED)).task).toBe(second);
  });

  test.each(ofRunOne)("events of the run before are inert, waiting or on its way (T9): %o", (event) => {
    const resumed = new Life(anEndedTask({ ...LAUNCHED, run: SENT_RUN })).at(HOUR, RESUME);
    const admitted = new Life(resumed.task).at(HOUR, { type: "admitted" });
    for (const { task } of [resumed, admitted]) {
      const life = new Life(task).at(HOUR + 20, event);
      expect(life.task).toBe(task);
      expect(life.effects).toEqual([]);
    }
  });
});

describe("a reader that has ended without an answer", () => {
  test("makes what it was told pending again, for somebody above (D11)", () => {
    const told = anEndedTask({ ...LAUNCHED, delivery: delivered() });
    expect(new Life(told).at(HOUR, { type: "reader-ended" }).task).toEqual({ ...told, delivery: OURS });
  });

  test.each([
    OURS,
    hostTells(T0 + HOUR),
    { state: "reconciled", at: T0 },
    { state: "not-owed" },
    { state: "undelivered", at: T0, reason: "gone" },
  ] as const)("changes nothing about an outcome that it was not told, or has answered (%#)", (delivery) => {
    const task = anEndedTask({ ...LAUNCHED, delivery });
    expect(new Life(task).at(SECOND, { type: "reader-ended" }).task).toBe(task);
  });

  test("changes nothing about a task that works", () => {
    const task = running();
    expect(new Life(task).at(SECOND, { type: "reader-ended" }).task).toBe(task);
  });
});

describe("what is handed out as the result of a tool", () => {
  test("is answered when the turn ends that called it", () => {
    const event = { type: "delivered", run: 1, sessionID: ROOT, messageID: "msg_9", byTurn: true } as const;
    expect(new Life(anEndedTask(LAUNCHED)).at(SECOND, event).task).toMatchObject({
      delivery: { state: "delivered", messageID: "msg_9", byTurn: true },
    });
  });
});

describe("who has a slot (T12)", () => {
  const idle = running({ observed: { kind: "idle", since: T0, lookAt: T0 } });

  test.each([onItsWay(), running(), idle, aMissingTask({ ...LAUNCHED, run: SENT_RUN })])(
    "a launched task from its admission to its end (%#)",
    (task) => {
      expect(isSeated(task)).toBe(true);
      expect(isWaiting(task)).toBe(false);
      expect(isSeated(new Life(task).at(SECOND, CANCEL).task)).toBe(false);
    },
  );

  test("not while it waits for one, and never a child that others made", () => {
    for (const task of [waiting(), aQueuedTask(), aTask(), aTask({ origin: "adopted" }), aMissingTask()]) {
      expect(isSeated(task)).toBe(false);
    }
    expect(isWaiting(waiting())).toBe(true);
  });

  test("no more once its user has taken it over", () => {
    const told = anEndedTask({ ...LAUNCHED, run: SENT_RUN, delivery: { state: "reconciled", at: T0 } });
    const typed = new Life(told).at(HOUR, { type: "prompted", promptID: "msg_9" }).at(HOUR, BUSY).task;
    expect(typed).toMatchObject({ status: "running", origin: "adopted" });
    expect(isSeated(typed)).toBe(false);
  });
});

describe("the clock", () => {
  const idle = running({ observed: { kind: "idle", since: T0, lookAt: T0 } });
  const refused = new Life(onItsWay()).at(0, REFUSED).task;
  const cancelled = new Life(running()).at(0, CANCEL).task;

  test.each([onItsWay(), refused, running(), idle, aMissingTask({ ...LAUNCHED, run: SENT_RUN }), cancelled])(
    "whatever it does, it sets a later deadline: it never rings in circles (%#)",
    (task) => {
      for (const staleMs of [1, 10 * SECOND, TIMING.staleMs, 0]) {
        const life = new Life(task);
        for (let rings = 0; rings < 20 && life.deadline < Number.POSITIVE_INFINITY; rings++) {
          const before = life.deadline;
          life.rings({ timing: { ...TIMING, staleMs } });
          expect(life.deadline).toBeGreaterThan(before);
        }
      }
    },
  );
});

describe("any story of a run that we launched", () => {
  const READINGS = [FINISHED, NOT_BEGUN, BEGUN, aReading({ kind: "aborted", text: "" })];
  const event = fc.oneof(
    fc.constantFrom<TaskEvent>(BUSY, IDLE, { type: "aborted" }, ERRORED, { type: "admitted" }, CLOCK, CLOCK, CANCEL),
    fc.constantFrom<TaskEvent>(TAKEN, REFUSED, { type: "sent", run: 1, answer: known("answered") }),
    fc.constantFrom<TaskEvent>({ type: "own-work-over" }, { type: "prompted", promptID: "msg_5" }),
    fc.constantFrom<TaskEvent>({ type: "deleted", text: "heard" }, { type: "status-read", shown: false }),
    fc.constantFrom(...READINGS).map((reading) => looked(reading)),
    fc.constant<TaskEvent>(looked(FINISHED, { reading: UNKNOWN })),
  );
  const around = fc.record({
    isBusy: fc.boolean(),
    toolRuns: fc.boolean(),
    ownWork: fc.boolean(),
    sinceSignMs: fc.nat(700 * SECOND),
  });
  const story = fc.array(fc.tuple(fc.nat(120 * SECOND), event, around), { maxLength: 40 });

  test("sends its prompt four times at most, ends once, and then owes its outcome until it was told", () => {
    fc.assert(
      fc.property(story, (steps) => {
        const life = new Life(waiting());
        let sends = 0;
        let now = 0;
        for (const [pause, event, { sinceSignMs, ...around }] of steps) {
          // The clock rings when it should, before anything else happens.
          const until = now + pause;
          for (; life.deadline <= until; sends += startsIn(life)) now = ringsOnce(life, now);
          now = until;
          const before = life.task;
          life.at(now, event, { ...around, lastSignAt: T0 + Math.max(0, now - sinceSignMs) });
          sends += startsIn(life);
          if (isEnded(before)) expect(life.task).toMatchObject({ status: before.status, endedAt: before.endedAt });
        }
        expect(sends).toBeLessThanOrEqual(4);
        if (isEnded(life.task)) expect(life.task).toMatchObject({ delivery: { state: "pending" } });
      }),
      { numRuns: 1_000 },
    );
  });

  function ringsOnce(life: Life, now: number): number {
    const at = Math.max(now, life.deadline);
    life.at(at, CLOCK, { lastSignAt: T0 + at });
    return at;
  }

  function startsIn(life: Life): number {
    return life.effects.filter(({ type }) => type === "start").length;
  }
});

describe("a task whose request the user rejects", () => {
  const IDLE: TaskEvent = { type: "idle" };
  const rejected = () => new Life(running()).at(SECOND, { type: "rejected", kind: "permission" });

  test("has failed, with that as its error, when its turn ends in the middle", () => {
    const { task } = rejected()
      .at(SECOND, IDLE)
      .at(2 * SECOND, read(BEGUN));
    const error = { message: "the user rejected a permission that it asked for" };
    expect(task).toMatchObject({ status: "failed", outcome: { text: "so far", error } });
  });

  test("goes on when he has said more, and ends as any other", () => {
    const { task } = rejected()
      .at(SECOND, { type: "busy" })
      .at(2 * SECOND, IDLE)
      .at(3 * SECOND, read(aReading({ kind: "finished", text: "done otherwise" })));
    expect(task).toMatchObject({ status: "completed", outcome: { text: "done otherwise" } });
  });
});
