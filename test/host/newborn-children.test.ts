import { expect, test } from "bun:test";
import { NewbornChildren } from "../../src/host/newborn-children.ts";

const PARENT = "ses_parent";
const CHILD = "ses_child";

function newborns(tasks: readonly string[] = []) {
  let now = 1_000;
  const children = new NewbornChildren({ now: () => now, isTask: (id) => tasks.includes(id) });
  children.receive({ type: "session.created", properties: { info: { id: CHILD, parentID: PARENT } } });
  return {
    children,
    later(ms: number) {
      now += ms;
    },
    async waits(sessionID = PARENT) {
      const answer = await Promise.race([children.begun(sessionID).then(() => "begun"), Bun.sleep(20)]);
      return answer !== "begun";
    },
  };
}

test("a child that was just made is waited for, until it works", async () => {
  const { children, waits } = newborns();
  expect(await waits()).toBe(true);
  const begun = children.begun(PARENT);
  children.receive({ type: "session.status", properties: { sessionID: CHILD, status: { type: "busy" } } });
  await begun;
  expect(await waits()).toBe(false);
});

test.each(["session.error", "session.deleted"])("or until %s says that it will not", async (type) => {
  const { children, waits } = newborns();
  const info = { id: CHILD, parentID: PARENT };
  children.receive({ type, properties: type === "session.error" ? { sessionID: CHILD } : { info } });
  expect(await waits()).toBe(false);
});

test("one that nobody prompts is waited for no longer than a few seconds", async () => {
  const { later, waits } = newborns();
  later(2_990);
  expect(await waits()).toBe(false);
  later(10);
  expect(await waits()).toBe(false);
});

test("one that is in the books is waited for there, and one of another session by that one", async () => {
  expect(await newborns([CHILD]).waits()).toBe(false);
  expect(await newborns().waits("ses_other")).toBe(false);
});

test("sessions without a parent, and events of no use, mean nothing", async () => {
  const { children, waits } = newborns();
  children.receive({ type: "session.created", properties: { info: { id: "ses_root" } } });
  children.receive({ type: "session.created" });
  children.receive({ type: "session.status" });
  expect(await waits("ses_root")).toBe(false);
  expect(await waits()).toBe(true);
});
