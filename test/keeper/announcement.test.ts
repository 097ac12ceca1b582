import { describe, expect, test } from "bun:test";
import { announcement, askAnnouncement } from "../../src/keeper/announcement.ts";
import { anEndedTask, aTask, delivered, OURS } from "../support/builders.ts";

const launched = { origin: "launched", delivery: OURS } as const;

describe("a person is shown", () => {
  test.each([
    ["failed", "launched", "error"],
    ["failed", "background", "error"],
    ["lost", "adopted", "warning"],
  ] as const)("that a task is %s, when it was %s", (status, origin, variant) => {
    const message = `Background task ${status}: look at the tests`;
    expect(announcement(anEndedTask({ status, origin }), "looked", [])).toEqual({ variant, message });
  });

  test("that one went silent, which nobody has asked for", () => {
    const message = "Background task silent, cancelled: look at the tests";
    const task = anEndedTask({ status: "cancelled", origin: "launched" });
    expect(announcement(task, "clock", [])).toEqual({ variant: "warning", message });
    expect(announcement(task, "cancel", [])).toBeUndefined();
  });

  test("that the last of what was launched has ended, with what nobody was told yet", () => {
    const last = anEndedTask({ ...launched, id: "ses_2" });
    const all = [anEndedTask(launched), last];
    const message = "Background tasks ended: 2 completed.";
    expect(announcement(last, "looked", all)).toEqual({ variant: "info", message });
    expect(announcement(last, "looked", [...all, aTask({ id: "ses_3", origin: "launched" })])).toBeUndefined();
    const told = { ...launched, delivery: delivered() };
    expect(announcement(anEndedTask(told), "looked", [anEndedTask(told)])).toBeUndefined();
  });

  test("what is asked of them, and in which task, while a goal waits for it", () => {
    const ask = { askID: "que_1", sessionID: "ses_2", kind: "question", about: "Colour" } as const;
    const shown = (title?: string) => askAnnouncement(ask, title, "the goal").message;
    expect(shown("paint it")).toBe('The goal waits for you: a question is open in "paint it": Colour');
    expect(shown()).toBe("The goal waits for you: a question is open: Colour");
    const long = askAnnouncement({ ...ask, about: "x".repeat(999) }, "y".repeat(999), "the goal");
    expect(long.message.length).toBeLessThan(250);
  });

  test("that an undo of theirs is waited for, by what, and both ways out", () => {
    const undo = { askID: "undo ses_2", sessionID: "ses_2", kind: "undo", about: "" } as const;
    expect(askAnnouncement(undo, undefined, "the goal").message).toBe(
      "The goal waits for you: messages are undone: with the next message they are gone for good, and /redo takes them back.",
    );
    expect(askAnnouncement(undo, "paint it", "a report about tasks").message).toStartWith(
      'A report about tasks waits for you: messages are undone in "paint it": ',
    );
  });

  test("nothing of what OpenCode shows itself: a foreground task, or the success of one of its own", () => {
    expect(announcement(anEndedTask({ status: "failed", origin: "foreground" }), "tool", [])).toBeUndefined();
    expect(announcement(anEndedTask({ origin: "background" }), "told", [])).toBeUndefined();
  });
});
