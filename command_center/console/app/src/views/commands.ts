/** What the command bar's lines do. */

import type { Desk } from "../desk";
import type { Said } from "../dispatch_acts";
import type { Command } from "../model/command";
import { words } from "../model/format";
import { goTo } from "../page";

const DONE: Said = { text: "", isDone: true };
const NOTHING: Said = { text: "No incident is selected.", isDone: false };

/** What Enter would do, in words. */
export function previewWords(desk: Desk, command: Command): string {
  const selected = desk.book.get(desk.queue.selectedId)?.number ?? "no incident";
  switch (command.kind) {
    case "unit-state": return `Enter: ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} becomes ${words(command.state)}`;
    case "assign": return `Enter: send ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} to ${selected}`;
    case "note": return `Enter: write it into ${selected}`;
    case "acknowledge": return `Enter: acknowledge ${selected}`;
    case "close": return `Enter: close ${selected} as ${words(command.disposition)}`;
    case "go": return `Enter: select ${command.number}`;
    case "open": return `Enter: open ${command.page}`;
    case "incomplete": return command.expected;
    default: return "";
  }
}

export async function runCommand(desk: Desk, command: Command): Promise<Said> {
  const id = desk.queue.selectedId;
  switch (command.kind) {
    case "unit-state": {
      const unit = desk.units.called(command.unit);
      return unit ? desk.dispatch.setStatus(unit, command.state) : { text: `There is no unit ${command.unit} on the board.`, isDone: false };
    }
    case "assign":
      return id === null ? NOTHING : desk.dispatch.assign(id, command.unit);
    case "note":
      return id === null ? NOTHING : desk.dispatch.note(id, command.text);
    case "acknowledge":
      await desk.acts.acknowledge(id);
      return DONE;
    case "close":
      await desk.acts.close(id, command.disposition, command.note);
      return DONE;
    case "go": {
      const wanted = command.number.toUpperCase();
      const found = desk.book.all().find((incident) => String(incident.id) === wanted || incident.number.toUpperCase().endsWith(wanted));
      if (!found) return { text: `There is no incident ${command.number} in the queue.`, isDone: false };
      desk.setFilter("");
      desk.select(found.id, { focus: true });
      return DONE;
    }
    case "open":
      goTo(command.page);
      return DONE;
    default:
      return DONE;
  }
}
