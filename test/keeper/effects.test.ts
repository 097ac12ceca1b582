import { beforeEach, describe, expect, test } from "bun:test";
import { frame } from "../../src/delivery/frame.ts";
import type { HostPort, Prompt, TranscriptMessage } from "../../src/host/port.ts";
import { performer } from "../../src/keeper/effects.ts";
import type { Effect, Input, Saved } from "../../src/keeper/messages.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { Task } from "../../src/tasks/task.ts";
import {
  aLook,
  aMessage,
  aMissingTask,
  anAnswer,
  anEndedTask,
  anIdleTask,
  anUnfinishedAnswer,
  aSession,
  aUserMessage,
  CHILD,
  delivered,
  GONE,
  known,
  ROOT,
  T0,
  UNKNOWN,
  VOICE,
} from "../support/builders.ts";

const STORED = {
  version: 1,
  self: ROOT,
  owner: { host: "h", pid: 1, processStartedAt: 1, instance: "i" },
  claim: 1,
  revision: 7,
  tasks: [],
} as const satisfies StoredRoot;
const PROMPT: Prompt = {
  sessionID: ROOT,
  messageID: "msg_5",
  partID: "prt_5",
  text: "Go on.",
  voice: VOICE,
  synthetic: true,
};

/** A host that knows an idle child which has finished, and that accepts everything. */
function aHost(calls: unknown[]): HostPort {
  const answer =
    <T>(name: string, value: T) =>
    (...args: readonly unknown[]) => {
      calls.push([name, ...args]);
      return Promise.resolve(known(value));
    };
  return {
    statuses: answer("statuses", new Map([[ROOT, "busy" as const]])),
    children: answer("children", [aSession(CHILD)]),
    session: answer("session", aSession(CHILD)),
    roots: answer("roots", []),
    transcript: answer("transcript", [aUserMessage("msg_1"), anAnswer("msg_2", "msg_1", { text: "done" })]),
    agents: answer("agents", []),
    models: answer("models", new Set<string>()),
    createChild: answer("createChild", aSession(CHILD)),
    abort: answer("abort", undefined),
    prompt: answer("prompt", undefined),
    deposit: answer("deposit", undefined),
    show: answer("show", undefined),
    writeMetadata: answer("writeMetadata", undefined),
    toast: (toast) => {
      calls.push(["toast", toast]);
      return Promise.resolve();
    },
    log: (level, message) => calls.push(["log", level, message]),
  };
}

let calls: unknown[];
let inputs: Input[];
let saved: StoredRoot[];
/** The roots of which was asked who keeps their books. */
let asked: string[];

beforeEach(() => {
  calls = [];
  inputs = [];
  saved = [];
  asked = [];
});

interface Surroundings {
  host?: Partial<HostPort>;
  save?: () => Promise<Saved>;
  reread?: () => Promise<void>;
  task?: Task;
  disposed?: boolean;
  /** The claim of another process that keeps the books of the root by now. */
  claim?: number;
  /** Whether a message is still wanted when the owner is known. */
  wanted?: boolean;
  release?: (rootID: string) => void;
  loadedAt?: number;
}

/** Carries out one effect, and lets everything that follows run to its end. */
async function perform(
  effect: Effect,
  {
    host = {},
    save,
    reread,
    task = anIdleTask(),
    disposed = false,
    claim,
    wanted = true,
    release,
    loadedAt = T0,
  }: Surroundings = {},
): Promise<void> {
  const perform = performer({
    host: { ...aHost(calls), ...host },
    store: {
      save: (stored) => {
        saved.push(stored);
        return save === undefined ? Promise.resolve({ kind: "ok" }) : save();
      },
      taken: (rootID) => {
        asked.push(rootID);
        return Promise.resolve(claim);
      },
    },
    maySend: () => wanted,
    owner: { ...STORED.owner, instance: "me" },
    loadedAt,
    aborting: (sessionID, messageID) => void calls.push(["aborting", sessionID, messageID]),
    ...(release === undefined ? {} : { release }),
    reread: (rootID) => {
      calls.push(["reread", rootID]);
      return reread === undefined ? Promise.resolve() : reread();
    },
    task: (taskID) => (taskID === task.id ? task : undefined),
    storedPrompt: (taskID, promptID) => {
      calls.push(["storedPrompt", taskID, promptID]);
      return Promise.resolve(known("as it was stored"));
    },
    dispatch: (input) => inputs.push(input),
    isDisposed: () => disposed,
  });
  perform(effect);
  await settle();
}

/** Promises that are settled already run to their end; no time passes. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const UNDONE = { kind: "undone" } as const;

const REFUSES = () => Promise.reject(new Error("refused"));
const LOOK: Extract<Effect, { type: "look" }> = { type: "look", taskID: CHILD, run: 1, scope: "everything" };

describe("look", () => {
  test("at everything: transcript, status and list become one input", async () => {
    await perform(LOOK);
    const look = aLook({ kind: "finished", text: "done" });
    expect(inputs).toEqual([{ type: "looked", taskID: CHILD, run: 1, look }]);
    expect(calls).toContainEqual(["children", ROOT]);
  });

  test("at the transcript alone asks nothing else, and what was not asked is not known", async () => {
    await perform({ ...LOOK, scope: "transcript" });
    expect(calls).toEqual([["transcript", CHILD]]);
    expect(inputs).toMatchObject([{ look: { shown: { kind: "unknown" }, listed: { kind: "unknown" } } }]);
  });

  test("sees a child that works, and one that is not in the list", async () => {
    await perform(LOOK, {
      host: {
        statuses: () => Promise.resolve(known(new Map([[CHILD, "retrying" as const]]))),
        children: () => Promise.resolve(known([aSession("ses_other")])),
      },
    });
    expect(inputs).toMatchObject([{ look: { shown: known(true), listed: known(false) } }]);
  });

  test.each([UNKNOWN, GONE])("passes on what is not known, and what is gone (%#)", async (answer) => {
    const silent = () => Promise.resolve(answer);
    await perform(LOOK, { host: { transcript: silent, statuses: silent, children: silent } });
    expect(inputs).toMatchObject([{ look: { shown: answer, listed: answer, reading: answer } }]);
  });

  test("a call that rejects has not answered: the others still count", async () => {
    await perform(LOOK, { host: { statuses: REFUSES } });
    expect(inputs).toMatchObject([{ look: { shown: { kind: "unknown" }, reading: { kind: "known" } } }]);
  });

  test("reads the run of the task, not an earlier one", async () => {
    const task = anIdleTask({ run: { number: 2, startedAt: T0 + 9_000, promptID: "msg_3" } });
    await perform({ ...LOOK, run: 2 }, { task });
    expect(inputs).toMatchObject([{ look: { reading: known({ kind: "unfinished" }) } }]);
  });

  test("killed right after a resume: the answer of the earlier run is not that of one whose prompt was never seen", async () => {
    const task = anIdleTask({ run: { number: 2, startedAt: T0 + 9_000, callID: "call_2" } });
    await perform({ ...LOOK, run: 2 }, { task });
    expect(inputs).toMatchObject([{ look: { reading: known({ kind: "unfinished" }) } }]);
  });

  test("a task whose record has gone is not looked at", async () => {
    await perform({ ...LOOK, taskID: "ses_unknown" });
    expect([calls, inputs]).toEqual([[], []]);
  });
});

describe("look after a restart", () => {
  const told = { taskID: CHILD, ended: "completed", text: "the result" } as const;
  const TOLD = aUserMessage("msg_8", { told });
  const restarted = aMissingTask({ doubt: "restart" });

  /** What is found when the parent's transcript holds these messages. */
  async function toldBefore(parent: readonly TranscriptMessage[], task: Task = restarted): Promise<readonly Input[]> {
    const transcript = (sessionID: string) => Promise.resolve(known(sessionID === ROOT ? parent : []));
    await perform({ ...LOOK, run: task.run.number }, { task, host: { transcript } });
    return inputs.filter(({ type }) => type === "told-before");
  }

  test("what the host had told before it was killed stands in the parent's transcript", async () => {
    expect(await toldBefore([TOLD])).toEqual([
      { type: "told-before", told, messageID: "msg_8", run: 1, answered: false },
    ]);
    expect(inputs.map(({ type }) => type)).toEqual(["told-before", "looked"]);
  });

  test("also of one that had ended and was not told in our books", async () => {
    expect(await toldBefore([TOLD], anEndedTask())).toHaveLength(1);
  });

  test("is answered if a complete answer follows: no summary, none that was killed", async () => {
    const answers = [
      anAnswer("msg_9", "msg_8", { summary: true }),
      anUnfinishedAnswer("msg_9", "msg_8"),
      anAnswer("msg_9", "msg_8"),
    ];
    const found: unknown[] = [];
    for (const answer of answers) {
      inputs = [];
      found.push(...(await toldBefore([anAnswer("msg_7", "msg_1"), TOLD, answer])));
    }
    expect(found).toMatchObject([{ answered: false }, { answered: false }, { answered: true }]);
  });

  test.each([
    ["nothing was told", [aUserMessage("msg_8")], restarted],
    ["another task was", [aUserMessage("msg_8", { told: { ...told, taskID: "ses_2" } })], restarted],
    ["an earlier run was", [TOLD], aMissingTask({ doubt: "restart", run: { number: 2, startedAt: T0 + 1 } })],
    ["it was not lost by a restart", [TOLD], aMissingTask({ doubt: "no-status" })],
    ["it works", [TOLD], anIdleTask()],
    ["the host does not tell its kind", [TOLD], { ...restarted, origin: "launched" }],
  ] satisfies [string, TranscriptMessage[], Task][])("says nothing when %s", async (_when, parent, task) => {
    expect(await toldBefore(parent, task)).toEqual([]);
  });

  test("an unreadable parent does not keep the child from being looked at", async () => {
    const transcript = (sessionID: string) => (sessionID === ROOT ? REFUSES() : Promise.resolve(known([])));
    await perform(LOOK, { task: restarted, host: { transcript } });
    expect(inputs.map(({ type }) => type)).toEqual(["looked"]);
  });
});

describe("ask-statuses", () => {
  test("gives what the host answers", async () => {
    await perform({ type: "ask-statuses" });
    expect(inputs).toEqual([{ type: "statuses", answer: known(new Map([[ROOT, "busy" as const]])) }]);
  });

  test("gives an answer also when the call rejects: otherwise nobody would ever ask again", async () => {
    await perform({ type: "ask-statuses" }, { host: { statuses: REFUSES } });
    expect(inputs).toMatchObject([{ type: "statuses", answer: { kind: "unknown" } }]);
  });
});

describe("save", () => {
  const SAVE: Effect = { type: "save", rootID: ROOT, revision: 7, stored: STORED };

  test("stores what it was given, and says how it went", async () => {
    await perform(SAVE);
    expect(saved).toEqual([STORED]);
    expect(inputs).toEqual([{ type: "saved", rootID: ROOT, revision: 7, result: { kind: "ok" } }]);
  });

  test.each([
    { kind: "failed", reason: "disk full" },
    { kind: "owned-elsewhere", claim: 2 },
  ] satisfies Saved[])("passes on a failure, and that another process owns the root (%#)", async (result) => {
    await perform(SAVE, { save: () => Promise.resolve(result) });
    expect(inputs).toMatchObject([{ type: "saved", result }]);
  });

  test("a write that rejects has failed: it never leaves the books waiting", async () => {
    await perform(SAVE, { save: REFUSES });
    expect(inputs).toMatchObject([{ type: "saved", revision: 7, result: { kind: "failed" } }]);
  });
});

describe("send", () => {
  const SEND: Effect = { type: "send", rootID: ROOT, prompt: PROMPT };

  test("hands the prompt over as it is, and says that it was accepted", async () => {
    await perform(SEND);
    expect(calls).toEqual([["prompt", PROMPT]]);
    expect(inputs).toEqual([
      { type: "sent", rootID: ROOT, sessionID: ROOT, messageID: "msg_5", answer: known(undefined) },
    ]);
  });

  test.each([UNKNOWN, GONE])("passes on that it was not (%#)", async (answer) => {
    await perform(SEND, { host: { prompt: () => Promise.resolve(answer) } });
    expect(inputs).toMatchObject([{ type: "sent", messageID: "msg_5", answer }]);
  });

  test("U1 an undo that the port has met is heard first, and then that nothing was stored", async () => {
    const session = aSession(ROOT, { undone: true });
    const host = { prompt: async () => UNDONE, deposit: async () => UNDONE, session: async () => known(session) };
    for (const deposit of [false, true]) {
      inputs.length = 0;
      await perform({ ...SEND, deposit }, { host });
      expect(inputs).toEqual([
        { type: "host", event: { type: "session-seen", session, created: false } },
        expect.objectContaining({
          type: "sent",
          messageID: "msg_5",
          answer: expect.objectContaining({ kind: "unknown" }),
        }),
      ]);
    }
  });

  test("a call that rejects was not accepted", async () => {
    await perform(SEND, { host: { prompt: REFUSES } });
    expect(inputs).toMatchObject([{ type: "sent", messageID: "msg_5", answer: { kind: "unknown" } }]);
  });

  test("asks first who keeps the books of the root, and sends nothing into that of another process", async () => {
    await perform(SEND, { claim: 3 });
    expect([asked, calls]).toEqual([[ROOT], []]);
    expect(inputs).toEqual([{ type: "moved", rootID: ROOT, claim: 3 }]);
  });

  test("what is not wanted any more when that is known is not sent, and tried again if it is wanted then", async () => {
    await perform(SEND, { wanted: false });
    expect(calls).toEqual([]);
    expect(inputs).toMatchObject([{ type: "sent", messageID: "msg_5", answer: { kind: "unknown" } }]);
  });

  test("a plugin that was disposed meanwhile sends nothing", async () => {
    await perform(SEND, { disposed: true });
    expect([calls, inputs]).toEqual([[], []]);
  });
});

describe("send into a turn that works", () => {
  const DEPOSIT: Effect = { type: "send", rootID: ROOT, prompt: PROMPT, deposit: true };

  test("stores the message there and starts no turn of its own", async () => {
    await perform(DEPOSIT);
    expect(calls).toEqual([["deposit", PROMPT]]);
    expect(inputs).toEqual([
      { type: "sent", rootID: ROOT, sessionID: ROOT, messageID: "msg_5", answer: known(undefined) },
    ]);
  });

  test("asks nobody who keeps the books: the turn ends in a few milliseconds, and that was asked before", async () => {
    await perform(DEPOSIT, { claim: 3 });
    expect([asked, calls]).toEqual([[], [["deposit", PROMPT]]]);
  });

  test("one that is refused, gone or rejects is said as it is", async () => {
    for (const deposit of [() => Promise.resolve(UNKNOWN), () => Promise.resolve(GONE), REFUSES])
      await perform(DEPOSIT, { host: { deposit } });
    expect(inputs.map((input) => input.type === "sent" && input.answer.kind)).toEqual(["unknown", "gone", "unknown"]);
  });

  test("a plugin that was disposed sends nothing there either", async () => {
    await perform(DEPOSIT, { disposed: true });
    expect([calls, inputs]).toEqual([[], []]);
  });
});

describe("ask-session", () => {
  const ASK: Effect = { type: "ask-session", sessionID: CHILD };

  test("the answer is heard as if the host had shown the session", async () => {
    const session = aSession(CHILD, { parentID: ROOT });
    await perform(ASK, { host: { session: () => Promise.resolve(known(session)) } });
    expect(inputs).toEqual([{ type: "host", event: { type: "session-seen", session, created: false } }]);
  });

  test("no answer, and a session that is gone, say nothing", async () => {
    for (const session of [() => Promise.resolve(UNKNOWN), () => Promise.resolve(GONE), REFUSES])
      await perform(ASK, { host: { session } });
    expect(inputs).toEqual([]);
  });
});

describe("start", () => {
  const START: Extract<Effect, { type: "start" }> = {
    type: "start",
    taskID: CHILD,
    run: 1,
    promptID: "msg_5",
    prompt: "do it",
    voice: VOICE,
    mayBeThere: false,
  };
  const SENT = {
    sessionID: CHILD,
    messageID: "msg_5",
    partID: "prt_5",
    text: "do it",
    voice: VOICE,
    synthetic: false,
  };

  test("sends the prompt as a person would have written it, under the ids that were stored", async () => {
    await perform(START);
    expect(calls).toEqual([["prompt", SENT]]);
    expect(inputs).toEqual([{ type: "started", taskID: CHILD, run: 1, answer: known("sent") }]);
  });

  test("a prompt that is not at hand is read from the child's own session", async () => {
    await perform({ ...START, prompt: undefined });
    expect(calls).toEqual([
      ["storedPrompt", CHILD, "msg_5"],
      ["prompt", { ...SENT, text: "as it was stored" }],
    ]);
  });

  test("an answer that got lost: it is looked up before it is sent again, and then under the same ids", async () => {
    await perform({ ...START, mayBeThere: true });
    expect(calls).toEqual([
      ["transcript", CHILD],
      ["prompt", SENT],
    ]);
    expect(inputs).toMatchObject([{ answer: known("sent") }]);
  });

  test("one that the host has and has not answered is sent once more: that wakes the session", async () => {
    const transcript = () => Promise.resolve(known([aUserMessage("msg_5")]));
    await perform({ ...START, mayBeThere: true }, { host: { transcript } });
    expect(calls).toEqual([["prompt", SENT]]);
  });

  test.each([
    ["has been answered", [aUserMessage("msg_5"), anAnswer("msg_6", "msg_5")]],
    ["has been overtaken", [aUserMessage("msg_5"), aUserMessage("msg_7")]],
  ])("one that %s is not sent again", async (_name, messages) => {
    await perform({ ...START, mayBeThere: true }, { host: { transcript: () => Promise.resolve(known(messages)) } });
    expect(calls).toEqual([]);
    expect(inputs).toMatchObject([{ type: "started", answer: known("answered") }]);
  });

  test("without a readable transcript nothing is sent: it may be there", async () => {
    for (const answer of [UNKNOWN, GONE]) {
      inputs = [];
      await perform({ ...START, mayBeThere: true }, { host: { transcript: () => Promise.resolve(answer) } });
      expect(inputs).toMatchObject([{ type: "started", answer }]);
    }
    expect(calls).toEqual([]);
  });

  test("refused, gone or rejected is said as it is", async () => {
    for (const prompt of [() => Promise.resolve(UNKNOWN), () => Promise.resolve(GONE), REFUSES])
      await perform(START, { host: { prompt } });
    expect(inputs.map((input) => input.type === "started" && input.answer.kind)).toEqual([
      "unknown",
      "gone",
      "unknown",
    ]);
  });

  test("U1 in a session in which messages are undone it does not start, and why is said", async () => {
    await perform(START, { host: { prompt: async () => UNDONE } });
    const answer = { kind: "unknown", reason: "messages are undone in its session" };
    expect(inputs.at(-1)).toEqual({ type: "started", taskID: CHILD, run: 1, answer } as never);
  });

  test("a task that has ended meanwhile is not prompted", async () => {
    await perform(START, { task: anEndedTask() });
    expect(calls).toEqual([]);
    expect(inputs).toMatchObject([{ type: "started", answer: { kind: "unknown" } }]);
  });

  test("a plugin that was disposed sends nothing and says nothing: the next one begins anew", async () => {
    await perform(START, { disposed: true });
    expect([calls, inputs]).toEqual([[], []]);
  });
});

describe("abort", () => {
  const ABORT: Extract<Effect, { type: "abort" }> = { type: "abort", taskID: CHILD, run: 1 };

  test("ends the turn, and then reads what the child has left behind", async () => {
    await perform(ABORT, { task: anEndedTask({ origin: "launched", status: "cancelled" }) });
    expect(calls).toEqual([
      ["abort", CHILD],
      ["transcript", CHILD],
    ]);
    expect(inputs).toMatchObject([{ type: "looked", taskID: CHILD, run: 1 }]);
  });

  test("T14 one that fails is logged, and the transcript is read all the same", async () => {
    for (const abort of [() => Promise.resolve(UNKNOWN), REFUSES]) await perform(ABORT, { host: { abort } });
    expect(calls.filter((call) => Array.isArray(call) && call[0] === "log")).toHaveLength(2);
    expect(inputs.map(({ type }) => type)).toEqual(["looked", "looked"]);
  });

  test("of a session that is gone it is no failure", async () => {
    await perform(ABORT, { host: { abort: () => Promise.resolve(GONE) } });
    expect(calls).toEqual([["transcript", CHILD]]);
  });

  test("a plugin that was disposed meanwhile reads nothing", async () => {
    await perform(ABORT, { disposed: true });
    expect(calls).toEqual([["abort", CHILD]]);
    expect(inputs).toEqual([]);
  });
});

describe("send to a task", () => {
  const REPORT = { type: "send", rootID: ROOT, prompt: { ...PROMPT, sessionID: CHILD } } as const;

  test("goes to one that lives", async () => {
    await perform(REPORT);
    expect(calls).toEqual([["prompt", REPORT.prompt]]);
    expect(inputs).toMatchObject([{ type: "sent", rootID: ROOT, sessionID: CHILD, answer: known(undefined) }]);
  });

  test("one that has ended meanwhile is not woken: somebody above is told", async () => {
    await perform(REPORT, { task: anEndedTask() });
    expect([calls, inputs]).toEqual([[], []]);
  });
});

describe("verify", () => {
  const VERIFY: Effect = { type: "verify", rootID: ROOT, sessionID: ROOT, message: aMessage() };

  test("says what the transcript of the root holds", async () => {
    await perform(VERIFY);
    expect(calls).toEqual([["transcript", ROOT]]);
    expect(inputs).toEqual([{ type: "verified", rootID: ROOT, sessionID: ROOT, found: { kind: "absent" } }]);
  });

  test("a root that is gone holds nothing", async () => {
    await perform(VERIFY, { host: { transcript: () => Promise.resolve(GONE) } });
    expect(inputs).toMatchObject([{ type: "verified", found: { kind: "absent" } }]);
  });

  test("an unreadable transcript says nothing: it is asked for again", async () => {
    await perform(VERIFY, { host: { transcript: () => Promise.resolve(UNKNOWN) } });
    expect(inputs).toEqual([]);
  });
});

test("reread reads the stored root again", async () => {
  await perform({ type: "reread", rootID: ROOT });
  expect(calls).toEqual([["reread", ROOT]]);
});

test("release lets the turn of that root go on, at once and without an answer", async () => {
  const released: string[] = [];
  await perform({ type: "release", rootID: ROOT }, { release: (rootID) => released.push(rootID) });
  expect([released, calls, inputs]).toEqual([[ROOT], [], []]);
});

test("release means nothing where turns are not held", async () => {
  await perform({ type: "release", rootID: ROOT });
  expect([calls, inputs]).toEqual([[], []]);
});

test("toast shows its message under our name", async () => {
  await perform({ type: "toast", rootID: ROOT, variant: "warning", message: "m" });
  expect(calls).toEqual([["toast", { title: "goalkeeper", message: "m", variant: "warning" }]]);
});

test("what fails all the same is logged, and never thrown", async () => {
  await perform({ type: "toast", rootID: ROOT, variant: "info", message: "m" }, { host: { toast: REFUSES } });
  await perform({ type: "reread", rootID: ROOT }, { reread: REFUSES });
  const verify = { type: "verify", rootID: ROOT, sessionID: ROOT, message: aMessage() } as const;
  await perform(verify, { host: { transcript: REFUSES } });
  expect(calls.filter((call) => Array.isArray(call) && call[0] === "log")).toHaveLength(3);
});

describe("what the books call told", () => {
  const told = anEndedTask({ origin: "launched", delivery: delivered({ messageID: "msg_5" }) });
  const before = { ...STORED.owner, pid: 2 };
  const ask = { type: "read-back", rootID: ROOT, taskIDs: [told.id], before } as const;
  const known0 = { reservedID: undefined, goal: undefined };
  const torn = aUserMessage("msg_5", { text: "", rawText: "", parts: [], torn: true });
  const transcript = (...messages: readonly TranscriptMessage[]) => ({
    transcript: () => Promise.resolve(known(messages)),
  });

  test("is looked for in the transcript, together with the user's last message", async () => {
    await perform({ ...ask, known: known0 }, { host: transcript(torn), task: told, loadedAt: T0 + 1 });
    expect(inputs).toEqual([
      {
        type: "read-back",
        rootID: ROOT,
        told: [{ taskID: told.id, run: 1, messageID: "msg_5", as: "not-told" }],
        lostID: "msg_5",
      },
    ]);
  });

  test("may be on its way into the transcript where OpenCode has gone on", async () => {
    const around = { host: transcript(torn), task: told, loadedAt: T0 + 1 };
    await perform({ ...ask, known: known0, before: STORED.owner }, around);
    expect(inputs).toEqual([{ type: "read-back", rootID: ROOT, told: [], lostID: undefined }]);
    await perform({ ...ask, known: known0, before: STORED.owner, taskIDs: [] }, around);
    expect(inputs).toHaveLength(1);
  });

  test("is believed where the transcript cannot be read", async () => {
    await perform({ ...ask, known: known0 }, { host: { transcript: () => Promise.resolve(UNKNOWN) }, task: told });
    expect(inputs).toEqual([]);
  });

  test("is answered as soon as the message that carries it is found with an answer that has ended", async () => {
    const message = aMessage({ outcomes: [{ taskID: told.id, run: 1 }] });
    const ours = aUserMessage("msg_5", { rawText: frame("continuation", "msg_5", "Go on.") });
    const verify = { type: "verify", rootID: ROOT, sessionID: ROOT, message } as const;
    await perform(verify, { host: transcript(ours, anUnfinishedAnswer("msg_6", "msg_5")), task: told });
    expect(inputs.map(({ type }) => type)).toEqual(["verified"]);
    inputs = [];
    await perform(verify, { host: transcript(ours, anAnswer("msg_6", "msg_5")), task: told });
    expect(inputs).toMatchObject([{ type: "verified" }, { type: "read-back", told: [{ as: "answered" }] }]);
  });
});
