/** One line for everything: a filter while it is typed, a command when Enter is pressed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { parseCommand } from "../model/command";
import { useDesk } from "./desk_context";
import { previewWords, runCommand } from "./commands";

const ANSWER_SHOWN_MS = 8000;

export function CommandBar(): JSX.Element {
  const desk = useDesk();
  const [line, setLine] = useState("");
  const [answer, setAnswer] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const given = useRef(0);
  const answered = useRef(0);
  const names = desk.units.all.value.map(({ name }) => name);
  const command = parseCommand(line, names);
  useEffect(() => {
    if (!answer) return undefined;
    const timer = setTimeout(() => setAnswer(""), ANSWER_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [answer]);
  const change = (text: string) => {
    setLine(text);
    setAnswer("");
    const parsed = parseCommand(text, names);
    desk.setFilter(parsed.kind === "filter" ? parsed.text : "");
  };
  const enter = async () => {
    if (command.kind === "incomplete") {
      setAnswer(`Expected: ${command.expected}`);
      return;
    }
    const entered = line;
    const number = (given.current += 1);
    // Cleared at once: whoever types on writes the next line, and not into this one.
    if (command.kind !== "filter") change("");
    const said = await runCommand(desk, command);
    const isUntouched = command.kind === "filter" || input.current?.value === "";
    if (said.isDone && isUntouched) desk.focusAsked.value += 1;
    if (!said.isDone && isUntouched) setLine(entered);
    // A slow command that went well does not speak over the answer to a later one; one that failed does.
    if (number < answered.current && said.isDone) return;
    answered.current = number;
    setAnswer(said.text);
  };
  const hint = answer || (line && command.kind !== "filter" ? previewWords(desk, command) : "");
  return (
    <div class="filter">
      <label class="visually-hidden" for="command">Filter incidents, or a command</label>
      <input ref={input} id="command" type="search" placeholder="Filter, or a command" aria-keyshortcuts="/" spellcheck={false} autocomplete="off" value={line} aria-describedby="command-hint"
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") void enter();
          if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            change("");
            desk.focusAsked.value += 1;
          }
        }} />
      <kbd>/</kbd>
      <p id="command-hint" class="command-hint" role="status">{hint}</p>
    </div>
  );
}

export function focusCommandBar(): void {
  (document.getElementById("command") as HTMLInputElement | null)?.focus();
}
