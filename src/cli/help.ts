import { EXIT_MEANINGS } from "./exit-codes.ts";

/** What `goalkeeper --help` says. */
export const HELP = `goalkeeper: runs OpenCode to the end of the work, background tasks included

Usage
  goalkeeper run [options] "<prompt>"       asks, and waits until the agent and all of its tasks are done
  goalkeeper run --goal "<objective>"       pursues a goal, turn after turn; needs the plugin opencode-goalkeeper
  goalkeeper run -s <id> --resume           goes on with the goal of that session; -c: of the one that was used last
  … | goalkeeper run [options]              reads the prompt from the standard input

Options
  --goal                  pursue the prompt as a goal
  --resume                go on with the goal of a session, as /goal resume does; needs -s or -c, takes no prompt
  --format text|json      text: answers on stdout, progress on stderr. json: one event per line on stdout [text]
  --attach <url>          use a server that listens already, instead of starting one
  --dir <directory>       the project [the current directory; with --attach the one of the server]
  -s, --session <id>      go on in this session
  -c, --continue          go on in the session that was used last
  --title <title>         the title of a new session
  --agent <name>          the agent to ask
  -m, --model <p/m>       the model to ask, as provider/model
  --timeout <seconds>     interrupt the work so long after the prompt was sent [none]
  --auto                  approve permission requests; without it they are rejected, for nobody is there to ask
  -h, --help              this text
  -v, --version           the version

The first Ctrl-C interrupts the agent and waits for it to stop, the second one ends at once. A server that was started
here always ends with this command; one at --attach goes on. OPENCODE_SERVER_PASSWORD is used for both.

Exit codes
${EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(5)} ${meaning}`).join("\n")}
`;
