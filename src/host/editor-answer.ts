/**
 * Words for the user of an editor, which drives `opencode acp` by JSON-RPC over stdin and stdout. OpenCode passes on
 * nothing but what the agent says: a toast, or a text that no model reads, is seen by nobody there. So they are written
 * into the connection itself, as what it has for them: a piece of the agent's message. A line is one message.
 */
export class EditorAnswer {
  /** What is about no session, until there is one in which it can be told. */
  private readonly untold: string[] = [];

  constructor(
    private readonly deps: {
      readonly stdout: (text: string) => void;
      readonly ids: { message(after: string): string };
    },
  ) {}

  announce(said: string): void {
    this.untold.push(said);
  }

  /** A session is used: it is one that the editor knows. */
  used(sessionID: string): void {
    for (const said of this.untold.splice(0)) this.tell(sessionID, `goalkeeper: ${said}`);
  }

  tell(sessionId: string, said: string): void {
    const { stdout, ids } = this.deps;
    // Markdown; the agent's own words may go on before and behind it.
    const text = `\n\n${said.replaceAll("\n", "  \n")}\n\n`;
    const update = {
      sessionUpdate: "agent_message_chunk",
      messageId: ids.message(""),
      content: { type: "text", text },
    };
    stdout(`${JSON.stringify({ jsonrpc: "2.0", method: "session/update", params: { sessionId, update } })}\n`);
  }
}
