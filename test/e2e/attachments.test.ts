import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ModelRequest } from "../../src/testing/index.ts";
import { request } from "./other-client.ts";
import { COMPLETE, openStages, type Play, type Stage, textOf } from "./stage.ts";

/** One red pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
const NOTES = "the notes say: paint it blue";
const SECRET = "nobody has sent this along";

let stage: Stage;

beforeAll(async () => {
  const modalities = { input: ["text", "image"], output: ["text"] };
  [stage] = await openStages([{ options: { no_progress_turns: 0 } }], { model: { attachment: true, modalities } });
  writeFileSync(join(stage.opencode.directory, "notes.txt"), NOTES);
  writeFileSync(join(stage.opencode.directory, "secret.txt"), SECRET);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

test("U2 an image and a file that come with /goal reach the model behind the objective, and stay through the goal", async () => {
  const play = await stage.play(["On it.", COMPLETE, "Done."]);
  const image = { type: "file", mime: "image/png", filename: "shot.png", url: `data:image/png;base64,${PIXEL}` };
  const url = pathToFileURL(join(stage.opencode.directory, "notes.txt")).href;
  const file = { type: "file", mime: "text/plain", filename: "notes.txt", url };
  await command(play, "paint it as in @secret.txt", [image, file]);
  await play.untilGoal("complete");
  const [message] = await play.messages();
  expect(message?.parts[0]).toMatchObject({ type: "text", text: expect.stringMatching(/^<goalkeeper kind="goal"/) });
  expect(message?.parts.filter(({ type }) => type === "file")).toMatchObject([
    { filename: "shot.png" },
    { filename: "notes.txt" },
  ]);
  for (const asked of play.requests().slice(0, 2)) {
    const said = JSON.stringify(asked.messages);
    expect(said).toContain(`data:image/png;base64,${PIXEL}`);
    expect(said).toContain(NOTES);
    expect(said).toContain("paint it as in @secret.txt");
    expect(said).not.toContain(SECRET);
  }
  expect(userContent(play.requests()[0])).toMatch(/"text".*"image_url"/s);
});

test("U2 a file with /goal edit is refused in words, and the goal stays as it is", async () => {
  const play = await stage.play([COMPLETE, "Done."]);
  await play.goal("paint it red");
  await play.untilGoal("complete");
  await play.untilIdle();
  const image = { type: "file", mime: "image/png", filename: "shot.png", url: `data:image/png;base64,${PIXEL}` };
  await command(play, "edit paint it like that", [image]).catch(() => undefined);
  await play.until("it is refused", async () =>
    (await play.framed("answer")).some((text) =>
      text.includes("Nothing was changed: an objective is edited with words alone"),
    ),
  );
  expect((await play.stored())?.goal?.objective).toBe("paint it red");
  expect((await play.messages()).flatMap(({ parts }) => parts.filter(({ type }) => type === "file"))).toEqual([]);
  expect((await play.messages()).map(textOf).join("\n")).not.toContain("paint it like that");
});

function command(play: Play, args: string, parts: readonly unknown[]): Promise<unknown> {
  return request(stage, "POST", `/session/${play.id}/command`, { command: "goal", arguments: args, parts });
}

function userContent(asked: ModelRequest | undefined): string {
  return JSON.stringify(asked?.messages.find(({ role }) => role === "user")?.content);
}
