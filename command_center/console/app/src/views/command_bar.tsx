/** One line for everything: a filter while it is typed, a command when Enter is pressed. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { parseCommand } from "../model/command";
import { useDesk } from "./desk_context";
import { previewWords, runCommand } from "./commands";

export function CommandBar(): JSX.Element {
  const desk = useDesk();
  const [line, setLine] = useState("");
  const [answer, setAnswer] = useState("");
  const command = parseCommand(line);
  const change = (text: string) => {
    setLine(text);
    setAnswer("");
    const parsed = parseCommand(text);
    desk.setFilter(parsed.kind === "filter" ? parsed.text : "");
  };
  const enter = async () => {
    if (command.kind === "incomplete") {
      setAnswer(`Expected: ${command.expected}`);
      return;
    }
    const said = await runCommand(desk, command);
    setAnswer(said.text);
    if (command.kind !== "filter" && said.isDone) change("");
    if (said.isDone) desk.focusAsked.value += 1;
    if (said.text) setAnswer(said.text);
  };
  const hint = answer || (line && command.kind !== "filter" ? previewWords(desk, command) : "");
  return (
    <div class="filter">
      <label class="visually-hidden" for="command">Filter incidents, or a command</label>
      <input id="command" type="search" placeholder="Filter, or a command" aria-keyshortcuts="/" spellcheck={false} autocomplete="off" value={line} aria-describedby="command-hint"
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") void enter();
          if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            change("");
            desk.focusAsked.value += 1;
          }
        }}
        onBlur={() => setAnswer("")} />
      <kbd>/</kbd>
      <p id="command-hint" class="command-hint" role="status">{hint}</p>
    </div>
  );
}

export function focusCommandBar(): void {
  (document.getElementById("command") as HTMLInputElement | null)?.focus();
}
