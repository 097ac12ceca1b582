import { describe, expect, test } from "bun:test";
import { taskText } from "../../src/tasks/native-task.ts";
import { isLive, KEPT_TEXT_LENGTH, type Origin, type Task, taskDeadline } from "../../src/tasks/task.ts";
import type { TaskEvent, TransitionContext } from "../../src/tasks/task-event.ts";
import { transition } from "../../src/tasks/transition.ts";
import {
  aLook,
  aMissingTask,
  anAbortedTask,
  anEndedTask,
  anIdleTask,
  aQueuedTask,
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
  VOICE,
} from "../support/builders.ts";

const SECOND = 1_000;
const MINUTE = 60_000;

function at(now: number, lastSignAt = T0): TransitionContext {
  const nothing = {
    runsElsewhere: false,
    isBusy: false,
    parentIsBusy: false,
    toolRuns: false,
    hasOwnWork: () => false,
  };
  return { now, timing: TIMING, lastSignAt, ...nothing };
}

function next(task: Task, event: TaskEvent, now = T0 + SECOND, more: Partial<TransitionContext> = {}): Task {
  return transition(task, event, { ...at(now), ...more }).task;
}

/** The result of the parent's Task-tool call, as OpenCode frames it. */
function toolEnded(more: Partial<Extract<TaskEvent, { type: "tool" }>> = {}): TaskEvent {
  const call = { callID: "call_1", background: false, messageID: "msg_parent" } as const;
  return { type: "tool", state: "completed", output: "found it", ...call, ...more };
}

const FOREGROUND = { origin: "foreground", run: { number: 1, startedAt: T0, callID: "call_1" } } as const;
const NATIVE: Origin[] = ["foreground", "background"];
const EVERY_LIVE = [aQueuedTask(), aTask(), anIdleTask(), anAbortedTask(), aMissingTask()];

describe("busy", () => {
  test("the first sign of work makes a queued task running", () => {
    expect(next(aQueuedTask(), { type: "busy" }).status).toBe("running");
  });

  test("in the first minute of a run silence alone asks nothing, after that 30 seconds of it do", () => {
    const early = next(aQueuedTask(), { type: "busy" }, T0 + SECOND);
    const late = next(anIdleTask(), { type: "busy" }, T0 + 5 * MINUTE);
    expect(taskDeadline(early)).toBe(T0 + MINUTE);
    expect(taskDeadline(late)).toBe(T0 + 5 * MINUTE + 30 * SECOND);
  });

  test("busy is a level: said again it changes nothing", () => {
    const task = aTask();
    expect(next(task, { type: "busy" })).toBe(task);
  });

  test("a missing task that is seen again within its grace runs on, and nothing of the doubt stays", () => {
    expect(next(aMissingTask(), { type: "busy" })).toEqual(aTask({ observed: { kind: "alive", askAt: T0 + MINUTE } }));
  });

  test("a child that goes on after an idle is no longer about to be read", () => {
    expect(next(anIdleTask(), { type: "busy" })).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });
});

describe("idle", () => {
  test.each(NATIVE)("the host has two seconds to tell the end of a %s task before its transcript is read", (origin) => {
    const task = next(aTask({ origin }), { type: "idle" }, T0 + MINUTE);
    expect(task).toMatchObject({ status: "running", observed: { kind: "idle", since: T0 + MINUTE } });
    expect(taskDeadline(task)).toBe(T0 + MINUTE + 2 * SECOND);
  });

  test.each(["launched", "adopted"] as const)(
    "OpenCode tells us nothing of the end of a task that is %s, so its transcript is read at once",
    (origin) => {
      const task = next(aTask({ origin }), { type: "idle" }, T0 + MINUTE);
      expect(taskDeadline(task)).toBe(T0 + MINUTE);
    },
  );

  test("the second idle of a pair does not start the wait anew", () => {
    const task = anIdleTask();
    expect(next(task, { type: "idle" })).toBe(task);
  });

  test("an idle after an abort does not hide that it was one", () => {
    const task = anAbortedTask();
    expect(next(task, { type: "idle" })).toBe(task);
  });

  test("an idle of a queued task means that its start is to be read", () => {
    expect(next(aQueuedTask(), { type: "idle" })).toMatchObject({ status: "running", observed: { kind: "idle" } });
  });

  test("an idle of a missing task brings the look forward and never puts it off", () => {
    const late = aMissingTask({ lookAt: T0 + 5 * SECOND });
    const soon = aMissingTask({ lookAt: T0 + 2 * SECOND });
    expect(next(late, { type: "idle" }, T0 + SECOND)).toEqual({ ...late, lookAt: T0 + 3 * SECOND });
    expect(next(soon, { type: "idle" }, T0 + SECOND)).toEqual(soon);
  });
});

describe("aborted", () => {
  test("an aborted child is given two seconds for its transcript or its parent to say so", () => {
    const task = next(aTask(), { type: "aborted" }, T0 + MINUTE);
    expect(task).toMatchObject({ status: "running", observed: { kind: "aborted", since: T0 + MINUTE } });
    expect(taskDeadline(task)).toBe(T0 + MINUTE + 2 * SECOND);
  });

  test("an abort does not end the doubt about a missing task", () => {
    const task = aMissingTask();
    expect(next(task, { type: "aborted" })).toBe(task);
  });
});

describe("prompted", () => {
  test("the first user message is what the run answers; a later one belongs to the same run", () => {
    const first = next(aQueuedTask(), { type: "prompted", promptID: "msg_a" });
    const second = next(first, { type: "prompted", promptID: "msg_b" });
    expect(first).toMatchObject({ status: "running", run: { number: 1, promptID: "msg_a" } });
    expect(second).toBe(first);
  });

  test("a prompt stored after an idle shows that the child goes on", () => {
    expect(next(anIdleTask(), { type: "prompted", promptID: "msg_b" })).toMatchObject({ observed: { kind: "alive" } });
  });

  test("a user who types into a finished child starts a run that owes nothing", () => {
    const told = anEndedTask({ delivery: { state: "reconciled", at: T0 } });
    const task = next(told, { type: "prompted", promptID: "msg_b" }, T0 + MINUTE);
    expect(task).toEqual(
      aQueuedTask({
        origin: "adopted",
        run: { number: 2, startedAt: T0 + MINUTE, promptID: "msg_b" },
        waits: { for: "sign", askAt: T0 + 2 * MINUTE },
      }),
    );
  });

  test("a user who types into a child whose outcome nobody has told yet does not make it unowed", () => {
    const untold = anEndedTask({ origin: "background", delivery: OURS });
    expect(next(untold, { type: "prompted", promptID: "msg_b" })).toMatchObject({ origin: "background" });
  });

  test("the host publishing the prompt of an ended run again starts nothing", () => {
    const task = anEndedTask({ run: { number: 1, startedAt: T0, promptID: "msg_a" } });
    expect(next(task, { type: "prompted", promptID: "msg_a" })).toBe(task);
  });

  test("the next run starts with fresh clocks and without the interrupt of the last one", () => {
    const interrupted = anEndedTask({ status: "cancelled", interruptedAt: T0, delivery: { state: "not-owed" } });
    const task = next(interrupted, { type: "prompted", promptID: "msg_b" }, T0 + MINUTE);
    expect(task).not.toHaveProperty("interruptedAt");
    expect(task).not.toHaveProperty("outcome");
    expect(taskDeadline(task)).toBe(T0 + 2 * MINUTE);
  });
});

describe("deleted", () => {
  test.each(EVERY_LIVE)(
    "a deleted session cancels its task whatever it was doing, and the kept text is its output (%#)",
    (task) => {
      expect(next(task, { type: "deleted", text: "half of it" })).toMatchObject({
        status: "cancelled",
        endedAt: T0 + SECOND,
        outcome: { text: "half of it", reason: "its session was deleted" },
      });
    },
  );

  test("without a text there is no output, not an empty one", () => {
    expect(next(aTask(), { type: "deleted", text: undefined })).toMatchObject({
      outcome: { reason: "its session was deleted" },
    });
    expect(next(aTask(), { type: "deleted", text: undefined })).not.toHaveProperty("outcome.text");
  });

  test("a deletion after the end keeps how the task ended", () => {
    const task = anEndedTask({ status: "failed", outcome: { text: "read", error: { name: "E", message: "m" } } });
    expect(next(task, { type: "deleted", text: "other" })).toBe(task);
  });

  test("a deletion after the end saves the partial output that had not been read yet", () => {
    const task = anEndedTask({ status: "cancelled", outcome: { reason: "it was aborted" } });
    expect(next(task, { type: "deleted", text: "half of it" })).toEqual({
      ...task,
      outcome: { reason: "it was aborted", text: "half of it" },
    });
  });
});

describe("told by the host", () => {
  const TOLD: TaskEvent = { type: "told", ended: "completed", text: "the result", messageID: "msg_host" };

  test.each(EVERY_LIVE)("the host's own message settles a live task and is its delivery (%#)", (task) => {
    expect(next(task, TOLD)).toMatchObject({
      status: "completed",
      outcome: { text: "the result" },
      delivery: { state: "delivered", sessionID: ROOT, messageID: "msg_host", at: T0 + SECOND, byTurn: false },
    });
  });

  test("a failure that the host tells carries its text as the error", () => {
    const task = next(aTask(), { type: "told", ended: "failed", text: "scripted 401", messageID: "msg_host" });
    expect(task).toMatchObject({ status: "failed", outcome: { error: { message: "scripted 401" } } });
    expect(task).toMatchObject({ delivery: { state: "delivered" } });
  });

  test("a message that comes after the transcript has settled the task is still the delivery, and nothing is told twice", () => {
    const task = next(anEndedTask({ delivery: OURS }), TOLD);
    expect(task).toMatchObject({ status: "completed", outcome: { text: "done" }, delivery: { messageID: "msg_host" } });
  });

  test.each([delivered(), { state: "reconciled", at: T0 }, { state: "not-owed" }] as const)(
    "what has been delivered, answered or is not owed stays as it is (%#)",
    (delivery) => {
      const task = anEndedTask({ delivery });
      expect(next(task, TOLD)).toBe(task);
    },
  );
});

describe("the parent's Task-tool call", () => {
  test("the result of a foreground call completes its task and is its delivery, answered when that turn ends", () => {
    expect(next(anIdleTask(FOREGROUND), toolEnded())).toMatchObject({
      status: "completed",
      outcome: { text: "found it" },
      delivery: { state: "delivered", sessionID: ROOT, messageID: "msg_parent", byTurn: true },
    });
  });

  test("a failed foreground call fails its task with the text of the error", () => {
    expect(next(aTask(FOREGROUND), toolEnded({ state: "error", output: "Subagent failed" }))).toMatchObject({
      status: "failed",
      outcome: { error: { message: "Subagent failed" } },
      delivery: { state: "delivered", byTurn: true },
    });
  });

  test("a foreground call that fails because its child was aborted is cancelled, not failed", () => {
    const failed = toolEnded({ state: "error", output: "Task cancelled" });
    expect(next(anAbortedTask(FOREGROUND), failed)).toMatchObject({ status: "cancelled" });
    expect(next(aTask({ ...FOREGROUND, interruptedAt: T0 }), failed)).toMatchObject({ status: "cancelled" });
  });

  test("the completed call of a background task is its start and ends nothing", () => {
    const task = next(aTask(), toolEnded({ background: true, output: "Background task started" }));
    expect(task).toMatchObject({ status: "running", run: { callID: "call_1" } });
  });

  test("a foreground task that is sent to the background in mid-flight becomes one, and never goes back", () => {
    const sent = next(aTask(FOREGROUND), toolEnded({ state: "running", background: true }));
    expect(sent).toMatchObject({ status: "running", origin: "background" });
    expect(next(sent, toolEnded({ state: "running" }))).toMatchObject({ origin: "background" });
  });

  test("an adopted child is told by the host when it turns out to be in the background, and never becomes a foreground one", () => {
    const adopted = aTask({ origin: "adopted" });
    expect(next(adopted, toolEnded({ state: "running", background: true }))).toMatchObject({ origin: "background" });
    for (const state of ["running", "completed"] as const)
      expect(next(adopted, toolEnded({ state }))).toMatchObject({ status: "running", origin: "adopted" });
  });

  test.each(["completed", "error"] as const)(
    "the %s result of another call about a running job ends nothing",
    (state) => {
      const task = aTask(FOREGROUND);
      expect(next(task, toolEnded({ state, callID: "call_2" }))).toMatchObject({
        status: "running",
        run: FOREGROUND.run,
      });
    },
  );

  test("a part that the host publishes again changes nothing", () => {
    const foreground = aTask(FOREGROUND);
    const background = aTask({ run: FOREGROUND.run });
    expect(next(foreground, toolEnded({ state: "running" }))).toBe(foreground);
    expect(next(background, toolEnded({ state: "running" }))).toBe(background);
    expect(next(background, toolEnded({ state: "running", background: true }))).toBe(background);
  });

  test("another call about an ended task resumes it as the next run of the same record", () => {
    const ended = anEndedTask({ ...FOREGROUND, delivery: { state: "reconciled", at: T0 } });
    const task = next(ended, toolEnded({ state: "running", callID: "call_2", background: true }), T0 + MINUTE);
    expect(task).toEqual(
      aQueuedTask({
        origin: "background",
        run: { number: 2, startedAt: T0 + MINUTE, callID: "call_2" },
        waits: { for: "sign", askAt: T0 + 2 * MINUTE },
      }),
    );
  });

  test("the own call of an ended task, published again as running, resumes nothing", () => {
    const ended = anEndedTask(FOREGROUND);
    expect(next(ended, toolEnded({ state: "running" }))).toBe(ended);
  });

  test("a result that comes after the transcript has settled the task is still its delivery", () => {
    const settled = anEndedTask({ ...FOREGROUND, delivery: OURS });
    expect(next(settled, toolEnded())).toMatchObject({ delivery: { state: "delivered", byTurn: true } });
    expect(next(settled, toolEnded({ state: "error" }))).toMatchObject({ delivery: { state: "delivered" } });
  });

  test("the start of a background task is no delivery of its end", () => {
    const settled = anEndedTask({ run: FOREGROUND.run, delivery: OURS });
    expect(next(settled, toolEnded({ background: true }))).toBe(settled);
  });

  test("the text of a result is read out of the frame around it, and whole where there is none", () => {
    const framed = '<task id="ses_1" state="completed">\n<task_result>\na\n<b>\n</task_result>\n</task>';
    expect(taskText(framed)).toBe("a\n<b>");
    expect(taskText("plain")).toBe("plain");
    expect(taskText("\n</task_result> <task_result>\n")).toBe("\n</task_result> <task_result>\n");
  });
});

describe("a foreground call that returns while its child does not rest (U15)", () => {
  const BUSY = { isBusy: true, parentIsBusy: true };
  const worked = next(aTask(FOREGROUND), toolEnded(), T0, BUSY);
  const unseen = next(aQueuedTask(FOREGROUND), toolEnded(), T0);
  const prompted = next(aTask(FOREGROUND), toolEnded(), T0);
  const DELIVERED = {
    status: "completed",
    outcome: { text: "found it" },
    delivery: { state: "delivered", byTurn: true },
  };
  const ADOPTED = { status: "running", origin: "adopted", observed: { kind: "alive" } };

  test("ends nothing: it is looked at again after half a second, one that has not begun after three", () => {
    for (const task of [worked, unseen, prompted]) expect(isLive(task)).toBe(true);
    expect([worked, unseen, prompted].map((task) => taskDeadline(task) - T0)).toEqual([500, 3_000, 3_000]);
  });

  test("when it works then, it is adopted, and no part changes that or ends it", () => {
    const adopted = next(worked, { type: "clock" }, T0 + 500, BUSY);
    expect(adopted).toMatchObject(ADOPTED);
    expect(next(adopted, toolEnded(), T0 + 600, BUSY)).toBe(adopted);
    expect(next(adopted, toolEnded({ state: "running" }), T0 + 600, BUSY)).toBe(adopted);
    const settled = next(next(adopted, { type: "idle" }), {
      type: "looked",
      run: 1,
      look: aLook({ kind: "finished", text: "t" }),
    });
    expect(settled).toMatchObject({ status: "completed", outcome: { text: "t" }, delivery: { teller: "maker" } });
    expect(next(settled, toolEnded())).toBe(settled);
  });

  test("when it rests then, or before, the result of the call is its own: only the news of that was late", () => {
    const late = { parentIsBusy: true };
    expect(next(worked, { type: "clock" }, T0 + 500, late)).toMatchObject(DELIVERED);
    expect(next(worked, { type: "idle" }, T0 + 20, late)).toMatchObject(DELIVERED);
    expect(next(unseen, { type: "clock" }, T0 + 3_000, late)).toMatchObject(DELIVERED);
  });

  test("when the turn that has called it is over by then, nobody is waited for to read that", () => {
    expect(next(worked, { type: "clock" }, T0 + 500)).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("busy is a level, and a beginning only for one that had not begun", () => {
    expect(next(worked, { type: "busy" }, T0 + 20, BUSY)).toBe(worked);
    expect(next(unseen, { type: "busy" }, T0 + 20, BUSY)).toMatchObject(ADOPTED);
    expect(next(prompted, { type: "busy" }, T0 + 20, BUSY)).toMatchObject(ADOPTED);
  });

  test("a prompt alone is no beginning", () => {
    const stored = next(unseen, { type: "prompted", promptID: "msg_9" }, T0 + 20);
    expect(stored).toMatchObject({ observed: { kind: "returned" }, run: { promptID: "msg_9" } });
  });

  test.each(["errored", "aborted"] as const)("an end that is no result was not awaited: %s", (type) => {
    const task = next(worked, { type, error: { name: "APIError", message: "m" } } as TaskEvent, T0 + 20, BUSY);
    expect(task).toMatchObject({ status: "running", origin: "adopted" });
  });

  test("an error part ends it at once: at Esc it comes while the child is still busy", () => {
    const failed = toolEnded({ state: "error", output: "Task cancelled" });
    expect(next(aTask({ ...FOREGROUND, interruptedAt: T0 }), failed, T0, BUSY)).toMatchObject({ status: "cancelled" });
    expect(next(aTask(FOREGROUND), failed, T0, BUSY)).toMatchObject({ status: "failed" });
  });

  test.each(["completed", "error"] as const)(
    "a %s call that was not seen to work on it ends no launched task",
    (state) => {
      const task = aTask({ origin: "launched" });
      expect(next(task, toolEnded({ state }))).toBe(task);
    },
  );

  test("a launched task stays one: its outcome is ours to tell", () => {
    const task = next(aTask({ ...FOREGROUND, origin: "launched" }), toolEnded(), T0, BUSY);
    expect(next(task, { type: "clock" }, T0 + 500, BUSY)).toMatchObject({
      origin: "launched",
      observed: { kind: "alive" },
    });
  });
});

describe("an error that is heard", () => {
  const ERRORED: TaskEvent = { type: "errored", error: { name: "APIError", message: "bad key", statusCode: 401 } };

  test.each(["foreground", "background", "adopted", "launched"] satisfies Origin[])(
    "is noted for a task that is %s, and the next sign of work or answer makes it old",
    (origin) => {
      const task = aTask({ origin });
      const noted = next(task, ERRORED);
      expect(noted).toMatchObject({ status: "running", run: { error: ERRORED.error } });
      expect(next(noted, { type: "busy" })).toEqual(task);
      expect(next(noted, { type: "answered" })).toEqual(task);
    },
  );

  test("what its user has rejected is no sign of life, and stays while its turn ends", () => {
    const task = next(aTask({ launch: { voice: VOICE, unstable: false } }), { type: "rejected", kind: "permission" });
    expect(next(task, { type: "busy" })).toBe(task);
    expect(next(task, { type: "answered" })).toBe(task);
  });
});

describe("looked at an idle child", () => {
  const readings = [
    ["completed", { kind: "finished", text: "t" }],
    ["failed", { kind: "failed", text: "t", error: { name: "APIError", message: "m" } }],
    ["cancelled", { kind: "aborted", text: "t" }],
  ] as const;

  test.each(readings)("a transcript that shows the end settles it: %s", (status, reading) => {
    expect(next(anIdleTask(), { type: "looked", run: 1, look: aLook(reading) })).toMatchObject({
      status,
      outcome: { text: "t" },
    });
  });

  test("a cancelled native task, which the host tells nobody about, becomes ours to tell", () => {
    const task = next(anAbortedTask(), { type: "looked", run: 1, look: aLook({ kind: "aborted", text: "" }) });
    expect(task).toMatchObject({ status: "cancelled", delivery: OURS });
  });

  test("an idle whose transcript is unfinished casts doubt, and one grace period begins", () => {
    expect(next(anIdleTask(), { type: "looked", run: 1, look: aLook() }, T0 + MINUTE)).toEqual(
      aMissingTask({
        doubt: "idle-unfinished",
        since: T0 + MINUTE,
        graceUntil: T0 + MINUTE + TIMING.graceMs,
        lookAt: T0 + MINUTE + TIMING.graceMs,
      }),
    );
  });

  test.each([UNKNOWN, GONE])("an unreadable transcript proves nothing: it casts doubt only (%#)", (reading) => {
    const look = aLook(undefined, { reading });
    expect(next(anIdleTask(), { type: "looked", run: 1, look })).toMatchObject({ status: "missing" });
  });

  test("a look that comes back after the child went on settles nothing", () => {
    const task = aTask();
    expect(next(task, { type: "looked", run: 1, look: aLook({ kind: "finished", text: "t" }) })).toBe(task);
  });

  test("a look at an earlier run is inert", () => {
    const task = anIdleTask({ run: { number: 2, startedAt: T0 } });
    expect(next(task, { type: "looked", run: 1, look: aLook({ kind: "finished", text: "t" }) })).toBe(task);
  });

  test("a queued task is not settled by a transcript", () => {
    const task = aQueuedTask();
    expect(next(task, { type: "looked", run: 1, look: aLook({ kind: "finished", text: "t" }) })).toBe(task);
  });
});

describe("looked at a missing child", () => {
  test("shown as working it runs on", () => {
    expect(
      next(aMissingTask(), { type: "looked", run: 1, look: aLook(undefined, { shown: known(true) }) }),
    ).toMatchObject({ status: "running", observed: { kind: "alive" } });
  });

  test("not proven either way it is looked at again, and nothing else changes", () => {
    const task = aMissingTask();
    expect(next(task, { type: "looked", run: 1, look: aLook() })).toEqual({ ...task, lookAt: task.graceUntil });
  });

  test("unfinished at the end of the grace it is lost, and that is ours to tell", () => {
    const look = aLook({ kind: "unfinished", text: "so far" });
    expect(next(aMissingTask(), { type: "looked", run: 1, look }, T0 + 5 * SECOND)).toMatchObject({
      status: "lost",
      outcome: { text: "so far" },
      delivery: OURS,
    });
  });

  test("one whose session is gone keeps the last text that was seen", () => {
    const looked = { type: "looked", run: 1, look: aLook(undefined, { reading: GONE }), kept: "half of it" } as const;
    expect(next(aMissingTask(), looked, T0 + 5 * SECOND)).toMatchObject({
      status: "lost",
      outcome: { text: "half of it" },
    });
    const readable = { ...looked, look: aLook({ kind: "unfinished", text: "so far" }) };
    expect(next(aMissingTask(), readable, T0 + 5 * SECOND)).toMatchObject({ outcome: { text: "so far" } });
  });

  test("a finished one that the host forgot is recovered, and that is ours to tell", () => {
    const look = aLook({ kind: "finished", text: "t" });
    expect(next(aMissingTask(), { type: "looked", run: 1, look })).toMatchObject({
      status: "completed",
      delivery: OURS,
    });
  });
});

describe("looked at an ended task", () => {
  const LOOKED: TaskEvent = { type: "looked", run: 1, look: aLook({ kind: "finished", text: "from the transcript" }) };

  test("restored without its text it gets it back from the transcript", () => {
    expect(next(anEndedTask({ outcome: {} }), LOOKED)).toMatchObject({ outcome: { text: "from the transcript" } });
  });

  test("what was read once is not replaced", () => {
    const task = anEndedTask({ outcome: { text: "" } });
    expect(next(task, LOOKED)).toBe(task);
  });

  test.each([UNKNOWN, GONE])("an unreadable transcript leaves it as it is (%#)", (reading) => {
    const task = anEndedTask({ outcome: {} });
    expect(next(task, { type: "looked", run: 1, look: aLook(undefined, { reading }) })).toBe(task);
  });
});

describe("the status list", () => {
  test.each([aQueuedTask(), aTask()])("a status answer that omits a silent task casts doubt (%#)", (task) => {
    expect(next(task, { type: "status-read", shown: false }, T0 + MINUTE)).toMatchObject({
      status: "missing",
      doubt: "no-status",
    });
  });

  test.each([aQueuedTask(), aTask()])("too early is not missing: in the first minute it casts none (%#)", (task) => {
    expect(next(task, { type: "status-read", shown: false }, T0 + MINUTE - 1)).toBe(task);
  });

  test("a list that shows the task makes it running again", () => {
    for (const task of [aQueuedTask(), anIdleTask(), aMissingTask()]) {
      expect(next(task, { type: "status-read", shown: true }, T0 + MINUTE)).toMatchObject({
        status: "running",
        observed: { kind: "alive" },
      });
    }
  });

  test("idle children are never in the list: their transcript decides, not their absence", () => {
    const task = anIdleTask();
    expect(next(task, { type: "status-read", shown: false }, T0 + MINUTE)).toBe(task);
  });

  test("the list neither ends the doubt about a missing task nor revives an ended one", () => {
    for (const task of [aMissingTask(), anEndedTask()]) {
      expect(next(task, { type: "status-read", shown: false }, T0 + MINUTE)).toBe(task);
    }
    const ended = anEndedTask();
    expect(next(ended, { type: "status-read", shown: true }, T0 + MINUTE)).toBe(ended);
  });
});

describe("interrupt and restart", () => {
  test.each(EVERY_LIVE)("the user's abort is noted on a live task and ends nothing (%#)", (task) => {
    expect(next(task, { type: "interrupted" })).toEqual({ ...task, interruptedAt: T0 + SECOND });
  });

  test("the interrupt outlives what happens to the run afterwards", () => {
    const interrupted = next(aTask(), { type: "interrupted" });
    expect(next(next(interrupted, { type: "idle" }), { type: "busy" })).toMatchObject({ interruptedAt: T0 + SECOND });
    expect(next(interrupted, { type: "deleted", text: undefined })).toMatchObject({ interruptedAt: T0 + SECOND });
    expect(next(interrupted, { type: "restarted", runner: "me", waits: false })).toMatchObject({
      interruptedAt: T0 + SECOND,
    });
  });

  test("after a restart every live task is missing, runs here, and is looked at at once", () => {
    const task = next(aQueuedTask(), { type: "restarted", runner: "next", waits: false }, T0 + MINUTE);
    expect(task).toMatchObject({ status: "missing", doubt: "restart", runner: "next", lookAt: T0 + MINUTE });
    expect(task).toMatchObject({ graceUntil: T0 + MINUTE + TIMING.graceMs });
  });

  test("after a restart what the host owed becomes ours to tell, when its message is not found in the parent", () => {
    for (const [delivery, expected] of [
      [hostTells(T0 - 2 * SECOND), hostTells(T0 + 2 * SECOND)],
      [OURS, hostTells(T0 + 2 * SECOND)],
    ] as const) {
      const event = { type: "restarted", runner: "next", waits: false } as const;
      const { task, effects } = transition(anEndedTask({ delivery }), event, at(T0));
      expect(task).toMatchObject({ runner: "next", delivery: expected });
      expect(transition(task, { type: "clock" }, at(T0 + 3 * SECOND)).task).toMatchObject({ delivery: OURS });
      expect(effects).toEqual([{ type: "look", taskID: CHILD, run: 1, scope: "transcript" }]);
    }
  });

  test("what was told before the restart is not told again", () => {
    const task = anEndedTask({ delivery: delivered() });
    expect(transition(task, { type: "restarted", runner: "next", waits: false }, at(T0))).toEqual({
      task: { ...task, runner: "next" },
      effects: [],
    });
  });
});

describe("another process that runs the task", () => {
  const stored = anEndedTask({ runner: "other", outcome: {}, delivery: delivered() });

  test("its end is taken over from what that process has written down", () => {
    expect(next(aQueuedTask({ runner: "other" }), { type: "reread", stored })).toBe(stored);
  });

  test("while it is written down as waiting it stays as it is; once it is not, it runs there", () => {
    const task = aQueuedTask({ runner: "other" });
    const waiting = aQueuedTask({ runner: "other", waits: { for: "slot" } });
    expect(next(task, { type: "reread", stored: waiting })).toBe(task);
    const running = next(task, { type: "reread", stored: aQueuedTask({ runner: "other" }) });
    expect(running).toMatchObject({ status: "running", observed: { kind: "elsewhere" } });
    expect(next(running, { type: "reread", stored: aQueuedTask({ runner: "other" }) })).toBe(running);
  });

  test("an end that is known here is not replaced; that it was told there is taken over, and never taken back", () => {
    const task = anEndedTask({ outcome: { text: "known here" } });
    expect(next(task, { type: "reread", stored })).toEqual({ ...task, delivery: stored.delivery });
    const told = anEndedTask({ delivery: { state: "reconciled", at: T0 } });
    expect(next(told, { type: "reread", stored })).toBe(told);
    const nextRun = anEndedTask({ run: { number: 2, startedAt: T0 } });
    expect(next(nextRun, { type: "reread", stored })).toBe(nextRun);
  });

  test("an end that is still to be told is told once its transcript was read: stored state holds no text", () => {
    const untold = anEndedTask({ runner: "other", outcome: {} });
    const { task, effects } = transition(aQueuedTask({ runner: "other" }), { type: "reread", stored: untold }, at(T0));
    expect(task).toMatchObject({ status: "completed", delivery: hostTells(T0 + 2 * SECOND) });
    expect(effects).toEqual([{ type: "look", taskID: CHILD, run: 1, scope: "transcript" }]);
  });
});

describe("who tells the parent", () => {
  const deleted: TaskEvent = { type: "deleted", text: undefined };

  test.each(NATIVE)("the host may tell the end of a working %s task for two seconds, then it is ours", (origin) => {
    const ended = next(aTask({ origin }), deleted);
    expect(ended).toMatchObject({ delivery: hostTells(T0 + 3 * SECOND) });
    expect(taskDeadline(ended)).toBe(T0 + 3 * SECOND);
    expect(next(ended, { type: "clock" }, T0 + 3 * SECOND)).toMatchObject({ delivery: OURS });
    expect(next(ended, { type: "clock" }, T0 + 3 * SECOND - 1)).toBe(ended);
  });

  test("a child that has just become idle is still the host's to tell", () => {
    expect(next(anIdleTask(), deleted)).toMatchObject({ delivery: hostTells(T0 + 2 * SECOND) });
    expect(next(anIdleTask(), deleted, T0 + 2 * SECOND)).toMatchObject({ delivery: OURS });
  });

  test("a host that is late already gets no more time", () => {
    for (const task of [anAbortedTask(), aMissingTask()]) {
      expect(next(task, deleted)).toMatchObject({ delivery: OURS });
    }
  });

  test("we tell what we launched", () => {
    expect(next(aTask({ origin: "launched" }), deleted)).toMatchObject({ delivery: OURS });
  });

  test("whoever made an adopted child has 2 s to tell its end; then only its loss is ours to tell", () => {
    const look = aLook();
    const lost = next(aMissingTask({ origin: "adopted" }), { type: "looked", run: 1, look }, T0 + MINUTE);
    const ended = next(aTask({ origin: "adopted" }), deleted);
    expect(ended).toMatchObject({ delivery: { state: "pending", teller: "maker", until: T0 + 3 * SECOND } });
    expect(lost).toMatchObject({ status: "lost", delivery: { state: "pending", teller: "maker" } });
    const clock = { type: "clock" } as const;
    expect(next(ended, clock, T0 + 3 * SECOND)).toMatchObject({ delivery: { state: "not-owed" } });
    expect(next(lost, clock, T0 + MINUTE + 2 * SECOND)).toMatchObject({ status: "lost", delivery: OURS });
  });

  test("a message of its maker's in the parent is the delivery of an adopted child, and of no other", () => {
    const told = { type: "maker-told", messageID: "msg_9" } as const;
    const ended = next(aTask({ origin: "adopted" }), deleted);
    expect(next(ended, told)).toMatchObject({ delivery: { state: "delivered", sessionID: ROOT, messageID: "msg_9" } });
    const ours = next(aTask({ origin: "launched" }), deleted);
    expect(next(ours, told)).toBe(ours);
  });
});

describe("a message of another manager that names a lost task", () => {
  const said = { type: "told-lost", run: 1, sessionID: ROOT, messageID: "msg_9" } as const;
  const delivery = { state: "delivered", sessionID: ROOT, messageID: "msg_9" };

  test("is the delivery where it is lost, too, and its end where it is in doubt", () => {
    for (const origin of ["launched", "adopted"] as const) {
      const lost = anEndedTask({ origin, status: "lost", delivery: OURS });
      expect(next(lost, said)).toMatchObject({ status: "lost", delivery });
      expect(next(aMissingTask({ origin }), said)).toMatchObject({ status: "lost", delivery });
    }
  });

  test("says nothing about a task that works, ended otherwise, was told before, or is at another run", () => {
    const told = anEndedTask({ status: "lost", delivery: { state: "reconciled", at: T0 } });
    const later = anEndedTask({ status: "lost", delivery: OURS, run: { number: 2, startedAt: T0 } });
    for (const task of [aQueuedTask(), aTask(), anIdleTask(), anEndedTask({ delivery: OURS }), told, later])
      expect(next(task, said)).toBe(task);
  });
});

test("an outcome whose message the host has accepted and not stored is to be told again, and no other", () => {
  const task = anEndedTask({
    delivery: { state: "delivered", sessionID: ROOT, messageID: "msg_9", at: T0, byTurn: false },
  });
  expect(next(task, { type: "not-stored", messageID: "msg_9" })).toMatchObject({ delivery: OURS });
  expect(next(task, { type: "not-stored", messageID: "msg_8" })).toBe(task);
  const answered = anEndedTask({ delivery: { state: "reconciled", at: T0 } });
  expect(next(answered, { type: "not-stored", messageID: "msg_9" })).toBe(answered);
});

test("a prompt of ours whose turn had not begun before a restart waits for a slot again: its session may sleep", () => {
  const run = { number: 1, startedAt: T0, promptID: "msg_5", attempt: 1 };
  const task = aMissingTask({ origin: "launched", doubt: "restart", run });
  const look = aLook({ kind: "unfinished", begun: false, text: "" });
  expect(next(task, { type: "looked", run: 1, look })).toMatchObject({ status: "queued", waits: { for: "slot" } });
  // A later message of the user's may stand behind it for ever: after four attempts it has failed.
  const spent = { ...task, run: { ...run, attempt: 4 } };
  expect(next(spent, { type: "looked", run: 1, look })).toMatchObject({ status: "failed" });
});

describe("delivery", () => {
  const DELIVERED: TaskEvent = { type: "delivered", run: 1, sessionID: ROOT, messageID: "msg_9" };
  const UNDELIVERED: TaskEvent = { type: "undelivered", run: 1, reason: "gone" };
  const RECONCILED: TaskEvent = { type: "reconciled", run: 1 };

  test.each([OURS, hostTells(T0), delivered()])(
    "what is pending is delivered by a message, and told anew by a reminder (%#)",
    (delivery) => {
      expect(next(anEndedTask({ delivery }), DELIVERED)).toMatchObject({
        delivery: { state: "delivered", sessionID: ROOT, messageID: "msg_9", at: T0 + SECOND, byTurn: false },
      });
    },
  );

  test("an answer reconciles what was delivered, and the window still counts from the delivery", () => {
    expect(next(anEndedTask({ delivery: delivered({ at: T0 }) }), RECONCILED, T0 + MINUTE)).toMatchObject({
      delivery: { state: "reconciled", at: T0 },
    });
  });

  test("what was never delivered is not reconciled", () => {
    for (const delivery of [
      OURS,
      hostTells(T0),
      { state: "not-owed" },
      { state: "undelivered", at: T0, reason: "" },
    ] as const) {
      const task = anEndedTask({ delivery });
      expect(next(task, RECONCILED)).toBe(task);
    }
  });

  test.each([OURS, hostTells(T0), delivered()])(
    "retries spent or the reader gone end the delivery with the reason (%#)",
    (delivery) => {
      expect(next(anEndedTask({ delivery }), UNDELIVERED)).toMatchObject({
        delivery: { state: "undelivered", at: T0 + SECOND, reason: "gone" },
      });
    },
  );

  test.each([{ state: "reconciled", at: T0 }, { state: "not-owed" }] as const)(
    "nothing follows a delivery that is over (%#)",
    (delivery) => {
      const task = anEndedTask({ delivery });
      expect(next(task, DELIVERED)).toBe(task);
      expect(next(task, UNDELIVERED)).toBe(task);
    },
  );

  test("what could not be delivered is delivered by the next message that names it, and fails only once", () => {
    const task = anEndedTask({ delivery: { state: "undelivered", at: T0, reason: "first" } });
    expect(next(task, DELIVERED)).toMatchObject({ delivery: { state: "delivered", messageID: "msg_9" } });
    expect(next(task, UNDELIVERED)).toBe(task);
  });

  test("the delivery of an earlier run is inert", () => {
    const task = anEndedTask({ run: { number: 2, startedAt: T0 } });
    const told = anEndedTask({ run: { number: 2, startedAt: T0 }, delivery: delivered() });
    expect(next(task, DELIVERED)).toBe(task);
    expect(next(task, UNDELIVERED)).toBe(task);
    expect(next(told, RECONCILED)).toBe(told);
  });

  test("a live task has no delivery", () => {
    for (const task of EVERY_LIVE) {
      for (const event of [DELIVERED, UNDELIVERED, RECONCILED]) expect(next(task, event)).toBe(task);
    }
  });
});

describe("first end wins", () => {
  const ended = anEndedTask({
    status: "failed",
    outcome: { text: "t", error: { name: "E", message: "m" } },
    delivery: delivered(),
  });
  const later: TaskEvent[] = [
    { type: "busy" },
    { type: "idle" },
    { type: "aborted" },
    { type: "interrupted" },
    { type: "deleted", text: "t2" },
    { type: "told", ended: "completed", text: "t2", messageID: "msg_9" },
    { type: "looked", run: 1, look: aLook({ kind: "finished", text: "t2" }) },
    { type: "status-read", shown: false },
    { type: "clock" },
    toolEnded(),
  ];

  test.each(later)("%o changes nothing after the end", (event) => {
    expect(next(ended, event, T0 + 10 * MINUTE)).toBe(ended);
  });
});

describe("what a record keeps", () => {
  const long = "x".repeat(KEPT_TEXT_LENGTH + 10);
  const ways: [string, TaskEvent][] = [
    ["told by the host", { type: "told", ended: "completed", text: long, messageID: "msg_9" }],
    ["a tool result", toolEnded({ output: long })],
    ["a deletion", { type: "deleted", text: long }],
  ];

  test.each(ways)("no more than 32 KB of output, whoever gives it: %s", (_way, event) => {
    const task = next(anIdleTask(FOREGROUND), event);
    expect(task).toHaveProperty("outcome.text", long.slice(10));
  });
});

describe("the clock", () => {
  function tick(task: Task, now: number, lastSignAt = T0) {
    return transition(task, { type: "clock" }, at(now, lastSignAt));
  }

  test.each([...EVERY_LIVE, anEndedTask({ delivery: hostTells(T0 + MINUTE) })])(
    "before its deadline nothing happens (%#)",
    (task) => {
      const { task: after, effects } = tick(task, taskDeadline(task) - 1);
      expect(after).toBe(task);
      expect(effects).toEqual([]);
    },
  );

  test("an ended task that the host does not tell waits for nothing", () => {
    expect(taskDeadline(anEndedTask({ delivery: OURS }))).toBe(Number.POSITIVE_INFINITY);
    expect(taskDeadline(anEndedTask({ delivery: delivered() }))).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([aQueuedTask(), aTask()])(
    "after a silence the host is asked once for its statuses, and again 30 seconds later (%#)",
    (task) => {
      const { task: after, effects } = tick(task, T0 + MINUTE, T0 + 30 * SECOND);
      expect(effects).toEqual([{ type: "ask-statuses" }]);
      expect(after.status).toBe(task.status);
      expect(taskDeadline(after)).toBe(T0 + MINUTE + 30 * SECOND);
    },
  );

  test.each([aQueuedTask(), aTask()])(
    "a task that was heard of is not asked about until 30 seconds after it (%#)",
    (task) => {
      const { task: after, effects } = tick(task, T0 + MINUTE, T0 + 50 * SECOND);
      expect(effects).toEqual([]);
      expect(taskDeadline(after)).toBe(T0 + 80 * SECOND);
    },
  );

  test.each([anIdleTask(), anAbortedTask()])(
    "the transcript of an idle child is read, again if no answer comes (%#)",
    (task) => {
      const { task: after, effects } = tick(task, T0 + 2 * SECOND);
      expect(effects).toEqual([{ type: "look", taskID: CHILD, run: 1, scope: "transcript" }]);
      expect(after).toMatchObject({ status: "running", observed: { lookAt: T0 + 17 * SECOND } });
    },
  );

  test("at the end of the grace status, list and transcript are asked, again if no answer comes", () => {
    const { task: after, effects } = tick(aMissingTask(), T0 + 5 * SECOND);
    expect(effects).toEqual([{ type: "look", taskID: CHILD, run: 1, scope: "everything" }]);
    expect(after).toMatchObject({ status: "missing", looks: 1, lookAt: T0 + 20 * SECOND, graceUntil: T0 + 5 * SECOND });
  });

  test("whatever the clock does, it sets a later deadline: it never rings in circles", () => {
    for (const task of [...EVERY_LIVE, anEndedTask({ delivery: hostTells(T0) })]) {
      const now = taskDeadline(task);
      for (const lastSignAt of [T0, now]) {
        for (const runsElsewhere of [false, true]) {
          const after = transition(task, { type: "clock" }, { ...at(now, lastSignAt), runsElsewhere }).task;
          expect(taskDeadline(after)).toBeGreaterThan(now);
        }
      }
    }
  });

  test.each(EVERY_LIVE)(
    "what another living process runs is read again from the store, never doubted or looked at here (%#)",
    (task) => {
      const now = taskDeadline(task);
      const { task: after, effects } = transition(task, { type: "clock" }, { ...at(now), runsElsewhere: true });
      expect(effects).toEqual([{ type: "reread", rootID: ROOT }]);
      expect(after.status).toBe(task.status === "queued" ? "queued" : "running");
      expect(taskDeadline(after)).toBe(now + 30 * SECOND);
    },
  );

  test("an outcome that the host of another process does not tell in time is ours to tell", () => {
    const task = anEndedTask({ delivery: hostTells(T0) });
    expect(transition(task, { type: "clock" }, { ...at(T0), runsElsewhere: true }).task).toMatchObject({
      delivery: OURS,
    });
  });
});
