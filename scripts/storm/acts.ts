/** What users and neighbours do to a session that pursues a goal. */
import type { OpencodeServer } from "../../src/testing/index.ts";
import type { Random } from "./random.ts";

export interface Scene {
  readonly server: OpencodeServer;
  readonly rootID: string;
  readonly random: Random;
  /** Notes what the user says. */
  readonly say: (text: string) => void;
}

type Act = (scene: Scene) => Promise<string>;

let words = 0;

const ACTS: readonly Act[] = [
  says,
  interrupts,
  pauses,
  resumes,
  edits,
  abortsTask,
  deletesTask,
  remarks,
  compacts,
  reloads,
  neighbour,
];

/** Does one thing, and says what. */
export async function actOn(scene: Scene): Promise<string> {
  const act = scene.random.pick(ACTS);
  try {
    return await act(scene);
  } catch (error) {
    return `${act.name} (answered with ${error instanceof Error ? error.message : String(error)})`;
  }
}

async function says({ server, rootID, say }: Scene): Promise<string> {
  const text = `a remark (number ${++words})`;
  say(text);
  await server.prompt(rootID, text);
  return `the user says "${text}"`;
}

async function interrupts({ server, rootID }: Scene): Promise<string> {
  await server.abort(rootID);
  return "Esc";
}

function pauses(scene: Scene): Promise<string> {
  return command(scene, "pause");
}

function resumes(scene: Scene): Promise<string> {
  return command(scene, "resume");
}

function edits(scene: Scene): Promise<string> {
  return command(scene, "edit storm, and do it well");
}

/** Answered with an error, as a command that starts no turn is. */
async function command({ server, rootID }: Scene, args: string): Promise<string> {
  const body = { command: "goal", arguments: args };
  void server.client.session.command({ path: { id: rootID }, body }).catch(() => undefined);
  return `/goal ${args}`;
}

async function abortsTask(scene: Scene): Promise<string> {
  const id = await child(scene);
  if (id === undefined) return "no task to abort";
  await scene.server.abort(id);
  return `aborts ${id}`;
}

async function deletesTask(scene: Scene): Promise<string> {
  const id = await child(scene);
  if (id === undefined) return "no task to delete";
  await scene.server.client.session.delete({ path: { id } });
  return `deletes ${id}`;
}

async function remarks(scene: Scene): Promise<string> {
  const id = await child(scene);
  if (id === undefined) return "no task to talk to";
  await scene.server.prompt(id, "and mind the time");
  return `a remark to ${id}`;
}

async function compacts({ server, rootID }: Scene): Promise<string> {
  const body = { providerID: "scripted", modelID: "model" };
  void server.client.session.summarize({ path: { id: rootID }, body }).catch(() => undefined);
  return "compacts";
}

async function reloads({ server }: Scene): Promise<string> {
  await server.client.instance.dispose();
  await server.client.session.list();
  return "reloads";
}

async function neighbour({ server, rootID }: Scene): Promise<string> {
  const { id } = await server.createSession({ parentID: rootID, title: "a neighbour's" });
  await server.prompt(id, "do what a neighbour wants");
  return `another plugin's child ${id}`;
}

async function child({ server, rootID, random }: Scene): Promise<string | undefined> {
  const children = await server.children(rootID);
  return children.length === 0 ? undefined : random.pick(children).id;
}
