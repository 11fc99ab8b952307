/** The list of keys and of what the command bar understands. */

import type { JSX } from "preact";

import type { Shortcut } from "./keyboard";

const COMMANDS: readonly (readonly [string, string])[] = [
  ["quay flash", "Filter: incidents that have every word"],
  ["s M21 en route", "Unit M21 is en route"],
  ["s Engine 5 on scene", "A name of several words, as it is or in quotes"],
  ["d M21", "Send unit M21 to the selected incident"],
  ["r M21", "Take M21 off its incident"],
  ["heard M21", "M21 was heard on the radio"],
  ["note white van", "Write a note"],
  ["ack", "Acknowledge the selected incident"],
  ["close handled …", "Close it, with a note"],
  ["merge 12", "The selected incident is part of 12"],
  ["shelve 60 film crew", "Keep its source silent for an hour"],
  ["go 12", "Select an incident by its number"],
  ["open fleet", "Go to a page"],
];

export function KeysDialog({ shortcuts }: { shortcuts: readonly Shortcut[] }): JSX.Element {
  const rows: (readonly [string, string])[] = [...shortcuts.map(({ shown, does }) => [shown, does] as const), ["1 … 9", "Choose in the open form; else go to a page"], ["Esc", "Leave the form, the filter, the details"]];
  return (
    <dialog id="keys" class="keys" aria-labelledby="keys-title" onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}>
      <div class="keys-content">
        <div class="keys-head"><h2 id="keys-title">Keys and commands</h2><button type="button" class="button" onClick={(event) => event.currentTarget.closest("dialog")?.close()}>Done <kbd>Esc</kbd></button></div>
        <section><h3>Keys</h3><dl>
          {rows.map(([shown, does]) => [
            <dt key={shown}>{shown.split(" ").map((key) => (key === "…" ? key : <kbd key={key}>{key}</kbd>))}</dt>,
            <dd key={does}>{does}</dd>,
          ])}
        </dl></section>
        <section><h3>Command bar</h3>        <dl>{COMMANDS.map(([line, does]) => [<dt key={line}><kbd>/</kbd> <code>{line}</code></dt>, <dd key={does}>{does}</dd>])}</dl></section>
      </div>
    </dialog>
  );
}

export function showKeys(): void {
  (document.getElementById("keys") as HTMLDialogElement | null)?.showModal();
}
