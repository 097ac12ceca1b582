import { excerpt, frame } from "../delivery/frame.ts";
import { askRoot, type Caller, type ToolDependencies } from "../tools/context.ts";
import type { EditorAnswer } from "./editor-answer.ts";
import type { Loader } from "./loader.ts";
import type { HostPort } from "./port.ts";
import type { RunAnswer } from "./run-answer.ts";

/** What the commands of a person have in common: none of them may cost a model request. */

/**
 * The template of a command. OpenCode expands it before any hook runs: `` !`cmd` `` in the user's words would be
 * executed and `@file` read. A placeholder for an argument that nobody gives swallows them; the hook gets them raw.
 */
export const COMMAND_TEMPLATE = `goal $${Number.MAX_SAFE_INTEGER}`;

/** A toast is a few lines. */
export const TOAST_LENGTH = 300;

/**
 * Thrown on purpose from `command.execute.before`: the answer is shown already, and no turn may start. OpenCode
 * publishes nothing for it and leaves a running turn alone.
 */
export class CommandAnswered extends Error {
  override readonly name = "CommandAnswered";

  constructor() {
    // OpenCode logs it as an error; what was answered is nobody's business there.
    super("goalkeeper has answered the command; no turn starts");
  }
}

export interface AnswerDependencies extends Pick<ToolDependencies, "keeper" | "ids"> {
  readonly host: HostPort;
  readonly loader: Pick<Loader, "ensure" | "foreignRoot">;
  /** Files came with the command. */
  readonly hasFiles?: boolean;
  /** Set in `opencode run`. */
  readonly runAnswer?: Pick<RunAnswer, "give"> | undefined;
  /** Set in `opencode acp`. */
  readonly editor?: Pick<EditorAnswer, "tell" | "used"> | undefined;
}

/** An answer to a command. */
export interface CommandAnswer {
  /** Of the toast: what was asked about. */
  readonly title: string;
  readonly said: string;
  /** What a toast shows where nothing else can be shown, if `said` does not fit into one. */
  readonly brief?: string;
  /** Nothing was done of what was asked: a script must not take it for done. */
  readonly isRefused?: boolean;
}

/** The root above a session. Its stored state is left alone: to load it takes the root away from who works there. */
export async function rootOf(
  sessionID: string,
  { keeper, host }: Pick<AnswerDependencies, "keeper" | "host">,
): Promise<string> {
  return keeper.manager.tree.rootOf(sessionID) ?? askRoot(sessionID, host);
}

/**
 * Shows an answer. On a session that works, or is about to, even an ignored text costs a model request: there a toast
 * has to do.
 *
 * @throws CommandAnswered always
 */
export async function answer(
  sessionID: string,
  given: CommandAnswer,
  { rootID }: Pick<Caller, "rootID">,
  { keeper, host, ids, hasFiles, runAnswer, editor }: AnswerDependencies,
): Promise<never> {
  const { title, said, brief = excerpt(said, TOAST_LENGTH), isRefused = false } = aboutFiles(given, hasFiles);
  if (runAnswer !== undefined) {
    await runAnswer.give(sessionID, rootID, said, isRefused);
    throw new CommandAnswered();
  }
  if (editor !== undefined) {
    editor.tell(sessionID, said);
    throw new CommandAnswered();
  }
  const statuses = await host.statuses();
  const isIdle = statuses.kind === "known" && !statuses.value.has(sessionID) && !keeper.isSending(rootID);
  const show = () => host.show(sessionID, frame("answer", ids.message(""), said), keeper.root(sessionID)?.voice);
  // Where messages are undone it would delete them.
  const isShown = isIdle && (await show()).kind === "known";
  const [firstLine = said] = said.split("\n");
  await host.toast({ title, message: isShown ? excerpt(firstLine, TOAST_LENGTH) : brief, variant: "info" });
  throw new CommandAnswered();
}

/** What was sent along with a word that is answered goes nowhere, and the user hears that. */
function aboutFiles(given: CommandAnswer, hasFiles = false): CommandAnswer {
  if (!hasFiles || given.isRefused === true) return given;
  const { said, brief } = given;
  const briefly = brief === undefined ? {} : { brief: `${FILES_UNUSED} ${brief}` };
  return { ...given, said: `${FILES_UNUSED} ${said}`, ...briefly };
}

const FILES_UNUSED = "(What came with the command was not used.)";

/** Shows what is known of a session in which another process works: to write there is that one's business. */
export async function answerFromElsewhere(
  sessionID: string,
  given: CommandAnswer,
  { host, hasFiles, runAnswer, editor }: Pick<AnswerDependencies, "host" | "hasFiles" | "runAnswer" | "editor">,
): Promise<never> {
  const { title, said, isRefused = false, ...more } = aboutFiles(given, hasFiles);
  const { brief = said.length > TOAST_LENGTH ? excerpt(said, TOAST_LENGTH) : said } = more;
  if (runAnswer !== undefined) await runAnswer.give(sessionID, sessionID, said, isRefused);
  else if (editor !== undefined) editor.tell(sessionID, said);
  else await host.toast({ title, message: brief, variant: "info" });
  throw new CommandAnswered();
}
