/** What must be true when a story is over, read from OpenCode's transcripts and from what the model was asked. */
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { ModelRequest, OpencodeServer, StoredMessage } from "../../src/testing/index.ts";

export interface Evidence {
  readonly messages: readonly StoredMessage[];
  readonly stored: StoredRoot | undefined;
  readonly children: readonly Child[];
  readonly requests: readonly ModelRequest[];
  /** What the user has written, each text once. */
  readonly spoken: readonly string[];
}

interface Child {
  readonly id: string;
  readonly title: string;
  readonly messages: readonly StoredMessage[];
  /** It has no transcript any more. */
  readonly isDeleted: boolean;
}

export async function gather(
  server: OpencodeServer,
  rootID: string,
  requests: readonly ModelRequest[],
  spoken: readonly string[],
): Promise<Evidence> {
  const messages = await server.messages(rootID);
  const stored = (await server.metadata(rootID)).goalkeeper as StoredRoot | undefined;
  const listed = await Promise.all(
    (await server.children(rootID)).map(async ({ id, title }) => {
      return { id, title, messages: await server.messages(id), isDeleted: false };
    }),
  );
  const gone = (stored?.tasks ?? [])
    .filter(({ id }) => listed.every((child) => child.id !== id))
    .map(({ id, title }) => ({ id, title, messages: [], isDeleted: true }));
  const own = requests.filter(({ kind, sessionID }) => kind === "turn" && sessionID === rootID);
  return { messages, stored, children: [...listed, ...gone], requests: own, spoken };
}

/**
 * @param wasTouched whether people have done more to the session and its tasks than to write: then a task may have more
 * than one run, or be somebody else's
 */
export function judge(
  { messages, stored, children, requests, spoken }: Evidence,
  wasTouched: boolean,
): readonly string[] {
  const breaches: string[] = [];
  if (stored?.goal?.status !== "complete") breaches.push(`the goal is ${stored?.goal?.status ?? "gone"}`);
  const texts = messages.map(textOf);
  for (const child of children) {
    const times = texts.filter((_, at) => tells(messages[at], child.id)).length;
    const stub = stored?.tasks.find(({ id }) => id === child.id);
    const prompts = child.messages.filter(({ info }) => info.role === "user").length;
    const runs = Math.max(1, prompts, stub?.run.number ?? 1);
    // One that nobody has ever worked in, and one of which another plugin tells, is nothing that we owe.
    const isOwed = !wasTouched && child.messages.some(({ info }) => info.role === "assistant");
    if (isOwed && times === 0) breaches.push(`${child.title} (${child.id}) was never told`);
    if (times > (wasTouched ? runs : 1)) breaches.push(`${child.title} (${child.id}) was told ${times} times`);
  }
  const framed = texts.flatMap((text) => [...text.matchAll(/^<goalkeeper kind="([\w-]+)" id="(msg_\w+)">/g)]);
  const ids = framed.map(([, kind, id]) => `${kind} ${id}`);
  for (const id of new Set(ids)) {
    const times = ids.filter((other) => other === id).length;
    if (times > 1) breaches.push(`the message "${id}" stands ${times} times`);
  }
  const answered = new Set(messages.flatMap(({ info }) => (info.role === "assistant" ? [info.parentID] : [])));
  for (const { info, parts } of messages)
    if (info.role === "user" && parts.length === 0 && answered.has(info.id))
      breaches.push(`the empty message ${info.id} was answered`);
  if (requests.some(({ lastUserText }) => lastUserText.trim() === "")) breaches.push("the model was asked nothing");
  for (const text of spoken) {
    const times = texts.filter((_, at) => messages[at]?.info.role === "user" && texts[at]?.includes(text)).length;
    if (times > 1) breaches.push(`"${text}" stands ${times} times`);
  }
  return breaches;
}

/** Whether a message tells how a task has ended: ours, OpenCode's report, or the result of its Task tool. */
function tells(message: StoredMessage | undefined, taskID: string): boolean {
  if (message === undefined) return false;
  const ours = new RegExp(
    `^- ".*" \\(${taskID}\\)(?: \\(run \\d+\\))?(?: \\(unstable[^)]*\\))?: (?:completed(?!, reported)|failed:|cancelled(?!, reported)|LOST)`,
    "m",
  );
  if (message.info.role === "user") return ours.test(textOf(message)) || isReport(textOf(message), taskID);
  return message.parts.some(
    (part) => part.type === "tool" && part.state.status === "completed" && isReport(part.state.output, taskID),
  );
}

function isReport(text: string, taskID: string): boolean {
  return new RegExp(`<task id="${taskID}" state="(?:completed|error)">`).test(text);
}

function textOf({ parts }: StoredMessage): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** A transcript as a person reads it. */
export function transcriptOf({ messages, stored, children }: Evidence): string {
  const line = ({ info, parts }: StoredMessage) => {
    const said = parts.map((part) => {
      if (part.type === "text") return part.text.replace(/\s+/g, " ").slice(0, 300);
      if (part.type !== "tool") return undefined;
      const { state } = part;
      const output = state.status === "completed" ? state.output : state.status === "error" ? state.error : "";
      return `[${part.tool} ${state.status}: ${output.replace(/\s+/g, " ").slice(0, 160)}]`;
    });
    const words = said.filter((text) => text !== undefined).join(" ");
    const parent = info.role === "assistant" ? ` to ${info.parentID}` : "";
    return `${new Date(info.time.created).toISOString().slice(11, 23)} ${info.role} ${info.id}${parent}: ${words === "" ? "(nothing)" : words}`;
  };
  const below = children.flatMap(({ id, title, messages: own, isDeleted }) => [
    "",
    `task ${title} (${id})${isDeleted ? ", deleted" : ""}`,
    ...own.map(line),
  ]);
  return [...messages.map(line), ...below, "", `books: ${JSON.stringify(stored)}`].join("\n");
}
