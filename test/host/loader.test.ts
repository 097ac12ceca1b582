import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Loader, type LoaderDependencies } from "../../src/host/loader.ts";
import type { SessionInfo } from "../../src/host/port.ts";
import { newOwner, ownerKey } from "../../src/host/process-identity.ts";
import { type Holdings, holdings } from "../../src/host/registry.ts";
import type { Keeper } from "../../src/keeper/keeper.ts";
import type { Input } from "../../src/keeper/messages.ts";
import { type StoredRoot, stub } from "../../src/keeper/stored-root.ts";
import { aGoal, anEndedTask, aQueuedTask, aSession, ROOT } from "../support/builders.ts";

const KEY = "goalkeeper";
const US = { host: "h", pid: 1, processStartedAt: 1, instance: "me" };
const GONE = { host: "h", pid: 2, processStartedAt: 1, instance: "gone" };

let session: SessionInfo;
let inputs: Input[];
let logged: number;
let loader: Loader;
let ours: Holdings;
let theirs: Holdings;

beforeEach(() => {
  session = aSession(ROOT);
  inputs = [];
  logged = 0;
  ours = holdings(KEY, () => undefined);
  theirs = holdings(KEY, () => undefined);
  loader = aLoader();
});

afterEach(() => {
  ours.end();
  theirs.end();
});

function aLoader(more: Partial<LoaderDependencies> = {}): Loader {
  return new Loader({
    key: KEY,
    host: {
      roots: async () => ({ kind: "known", value: [session] }),
      session: async () => ({ kind: "known", value: session }),
      log: () => logged++,
    },
    keeper: keeperWith(0),
    resumeOnStart: true,
    hostProblem: async () => undefined,
    runner: ownerKey(US),
    runsElsewhere: () => false,
    holdings: ours,
    isOtherHost: () => false,
    ...more,
  });
}

/** Books under a claim, in which nothing is going on. */
function keeperWith(claim: number): Keeper {
  const keeper: Pick<Keeper, "claim" | "dispatch" | "goal" | "root" | "tasks"> = {
    claim: () => claim,
    dispatch: (input) => inputs.push(input),
    goal: () => undefined,
    root: () => undefined,
    tasks: () => [],
  };
  return keeper as Keeper;
}

function stored(more: Partial<StoredRoot>): SessionInfo {
  const root: StoredRoot = { version: 1, self: ROOT, owner: GONE, claim: 1, revision: 1, tasks: [], ...more };
  return aSession(ROOT, { metadata: { [KEY]: JSON.parse(JSON.stringify(root)) } });
}

function restored(): number {
  return inputs.filter(({ type }) => type === "restored").length;
}

describe("a root that is shown", () => {
  test.each([
    { what: "a goal", session: () => stored({ goal: aGoal() }) },
    { what: "a task", session: () => stored({ tasks: [stub(anEndedTask())] }) },
  ])("with $what of a process that is gone is brought back, once", ({ session: made }) => {
    loader.see(made());
    loader.see(made());
    expect(restored()).toBe(1);
  });

  test("is left alone where everything in it has ended: it would be brought back with each of its events", () => {
    loader.see(stored({}));
    expect(inputs).toEqual([]);
  });

  test.each([
    ["that is archived sleeps, whatever the options say", true],
    ["goes on at once where the options say so", false],
  ])("with a goal %s", (_what, archived) => {
    loader.see({ ...stored({ goal: aGoal() }), archived });
    expect(inputs).toMatchObject([{ type: "restored", awake: !archived }]);
  });

  test("is left alone when this instance has written it", () => {
    loader.see(stored({ owner: US, goal: aGoal() }));
    expect(inputs).toEqual([]);
  });
});

describe("a root of which nothing is kept any more", () => {
  test("is looked at again when somebody else has written into it since", async () => {
    await loader.ensure(ROOT);
    const theirs = stored({ goal: aGoal(), claim: 2 });
    loader.see(theirs);
    expect(restored()).toBe(0);
    loader.forget(ROOT);
    loader.see(theirs);
    expect(restored()).toBe(1);
  });

  test("U1 in which messages were undone before is shown as it is, behind what is brought back", async () => {
    session = { ...stored({ goal: aGoal() }), undone: true };
    await loader.start();
    expect(inputs).toMatchObject([
      { type: "restored" },
      { type: "host", event: { type: "session-seen", session: { id: ROOT, undone: true } } },
    ]);
  });

  test("is reported once when it cannot be read, and again only after its session was deleted", () => {
    const broken = aSession(ROOT, { metadata: { [KEY]: { version: 99 } } });
    loader.see(broken);
    loader.forget(ROOT);
    loader.see(broken);
    expect(logged).toBe(1);
    loader.deleted(ROOT);
    loader.see(broken);
    expect(logged).toBe(2);
  });
});

describe("on a version of OpenCode on which no goal can be pursued (U13)", () => {
  const hostProblem = async () => "this is OpenCode 1.18.3";

  test("a goal that is active does not go on, and is paused with the reason", async () => {
    session = stored({ goal: aGoal() });
    await aLoader({ hostProblem }).start();
    expect(inputs).toMatchObject([
      { type: "restored", awake: false },
      { type: "goal", event: { type: "pause", by: "error", reason: "this is OpenCode 1.18.3" } },
    ]);
  });

  test("nothing else is said about a root", async () => {
    session = stored({ goal: undefined, tasks: [stub(anEndedTask())] });
    await aLoader({ hostProblem }).ensure(ROOT);
    expect(inputs.map(({ type }) => type)).toEqual(["restored"]);
  });
});

describe("in opencode run, which is about one session", () => {
  beforeEach(() => {
    session = stored({ goal: aGoal() });
    loader = aLoader({ onlyUsed: true, resumeOnStart: false });
  });

  test("nothing is looked for at the start: a write into another session would make it the one used last", async () => {
    await loader.start();
    expect(inputs).toEqual([]);
  });

  test("the session that is prompted is brought back before its message is heard, and its goal stays asleep", async () => {
    await loader.spoken(ROOT);
    expect(inputs).toMatchObject([{ type: "restored", awake: false }]);
  });
});

test("what was said in a root takes it away from nobody once nothing of it is kept here any more", () => {
  loader = aLoader({ runsElsewhere: () => true });
  loader.heard(ROOT);
  loader.forget(ROOT);
  loader.see(stored({ goal: aGoal() }));
  expect(inputs).toEqual([]);
});

describe("another instance in the same process", () => {
  /** Another one of this process, which lives. */
  const beside = newOwner();

  beforeEach(() => {
    session = stored({ owner: beside, claim: 2, goal: aGoal() });
    loader = aLoader({ runsElsewhere: (runner) => runner === ownerKey(beside), resumeOnStart: false });
  });

  test("that has only restored a root is not asked: the root belongs to the one whose session is used (U11)", async () => {
    expect(await loader.foreignRoot(ROOT)).toBeUndefined();
    await loader.ensure(ROOT);
    expect(inputs).toMatchObject([{ type: "restored" }]);
    expect(ours.isOurs(ROOT)).toBe(true);
  });

  test("that works on a root keeps it until its session is used here, and finds that written down (U11)", async () => {
    theirs.take(ROOT);
    await loader.start();
    expect(inputs).toEqual([]);
    expect(await loader.foreignRoot(ROOT)).toBeDefined();
    await loader.spoken(ROOT);
    expect(inputs.map(({ type }) => type)).toEqual(["user-speaks", "restored", "storage-repaired", "storage-repaired"]);
    expect([ours.isOurs(ROOT), theirs.isOurs(ROOT)]).toEqual([true, false]);
  });

  test("that has woken a root, and written nothing yet, is not joined", async () => {
    session = stored({ goal: aGoal() });
    theirs.take(ROOT);
    loader = aLoader();
    await loader.start();
    expect(inputs).toEqual([]);
  });

  test("that restored a root at the same moment, and wrote first, gives way (U11)", async () => {
    loader = aLoader({ keeper: keeperWith(2) });
    await loader.ensure(ROOT);
    expect(inputs).toMatchObject([{ type: "restored", stored: { claim: 2 } }]);
  });

  test.each([
    ["has not begun is begun by whoever works on its root (U11)", { waits: { for: "slot" } }, []],
    ["may have begun is left to it", { waits: { for: "sign", askAt: 0 } }, ["ses_child"]],
  ] as const)("a task that it %s", async (_what, more, elsewhere) => {
    const task = aQueuedTask({ id: "ses_child", runner: ownerKey(beside), ...more });
    session = stored({ owner: beside, claim: 2, tasks: [task] });
    await loader.ensure(ROOT);
    expect(inputs).toMatchObject([{ type: "restored", elsewhere }]);
  });
});
