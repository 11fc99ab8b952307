/** What the command bar's lines do. */

import type { Desk } from "../desk";
import type { Said } from "../dispatch_acts";
import type { Command } from "../model/command";
import { words } from "../model/format";
import { goTo } from "../page";
import type { Incident } from "../wire/shapes";

const DONE: Said = { text: "", isDone: true };
const NOTHING: Said = { text: "No incident is selected.", isDone: false };

/** By its id, its number, or the end of its number. */
function find(desk: Desk, number: string): Incident | undefined {
  const wanted = number.toUpperCase();
  const all = desk.book.all();
  return all.find((incident) => String(incident.id) === wanted) ?? all.find((incident) => incident.number.toUpperCase().endsWith(wanted));
}

/** What Enter would do, in words. */
export function previewWords(desk: Desk, command: Command): string {
  const selected = desk.book.get(desk.queue.selectedId)?.number ?? "no incident";
  switch (command.kind) {
    case "unit-state": return `Enter: ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} becomes ${words(command.state)}`;
    case "assign": return `Enter: send ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} to ${selected}`;
    case "release": return `Enter: take ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} off ${selected}`;
    case "heard": return `Enter: ${desk.units.called(command.unit)?.name ?? `${command.unit} (not on the board)`} was heard`;
    case "merge": return `Enter: ${selected} is part of ${find(desk, command.number)?.number ?? `${command.number} (not in the queue)`}`;
    case "shelve": return `Enter: shelve the source of ${selected} for ${command.minutes} min; FLASH still sounds`;
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
    case "release": {
      const unit = desk.units.called(command.unit);
      if (!unit) return { text: `There is no unit ${command.unit} on the board.`, isDone: false };
      return unit.incident === null ? { text: `${unit.name} is at no incident.`, isDone: false } : desk.dispatch.release(unit.incident, unit);
    }
    case "heard": {
      const unit = desk.units.called(command.unit);
      return unit ? desk.dispatch.heard(unit) : { text: `There is no unit ${command.unit} on the board.`, isDone: false };
    }
    case "merge": {
      const into = find(desk, command.number);
      if (id === null) return NOTHING;
      if (!into || into.id === id) return { text: `There is no other incident ${command.number} in the queue.`, isDone: false };
      await desk.acts.merge(id, into.id);
      return DONE;
    }
    case "shelve": {
      const incident = desk.book.get(id);
      if (!incident) return NOTHING;
      const isDone = await desk.acts.shelve({ node: incident.node.id, camera: incident.camera, label: incident.label, reason: command.reason, minutes: command.minutes, covers_flash: false });
      return { text: isDone ? "Shelved: it stands above the queue until it ends." : "", isDone };
    }
    case "note":
      return id === null ? NOTHING : desk.dispatch.note(id, command.text);
    case "acknowledge":
      await desk.acts.acknowledge(id);
      return DONE;
    case "close":
      await desk.acts.close(id, command.disposition, command.note);
      return DONE;
    case "go": {
      const found = find(desk, command.number);
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
