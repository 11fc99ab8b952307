/** The forms of the details: close, merge, shelve. Each choice is one key; nothing is sent before one is chosen. */

import type { ComponentChildren, JSX, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { duration, place, words } from "../model/format";
import type { Disposition, Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";

/** Those with a number are APCO's common codes. */
export const DISPOSITIONS: readonly (readonly [Disposition, string, string])[] = [
  ["handled", "Handled", "it was real and somebody dealt with it"],
  ["false_alarm", "False alarm", "APCO 17: nothing of the kind was there"],
  ["gone_on_arrival", "Gone on arrival", "APCO 14: nobody was there any more"],
  ["building_secure", "Building secure", "APCO 20: looked at, nothing found"],
  ["duplicate", "Duplicate", "APCO 22: another incident covers it"],
  ["cancelled", "Cancelled", "APCO 32: before anybody arrived"],
  ["test", "Test", "raised on purpose"],
];
const TIMES: readonly (readonly [minutes: number, name: string])[] = [[15, "15 minutes"], [60, "1 hour"], [240, "4 hours"], [480, "8 hours"]];
const MOST_TARGETS = 9;
/** How a choice is made by keyboard. */
export const NUMBER_KEYS = "– press its number, Esc to leave it";

/** The frame of a form: it takes the digits, and gives the focus back when it goes. `keys` is for whoever has a keyboard. */
export function Form({ name, lead, keys, choose, children }: { name: string; lead: string; keys?: string; choose: (at: number) => void; children: ComponentChildren }): JSX.Element {
  const desk = useDesk();
  const frame = useRef<HTMLDivElement>(null);
  desk.choose = choose;
  useLayoutEffect(() => {
    const cameFrom = document.activeElement;
    const box = frame.current;
    (box?.querySelector<HTMLElement>("[data-first]") ?? box?.querySelector<HTMLElement>("button") ?? box)?.focus(); // itself, where the choices are still to come
    box?.scrollIntoView({ block: "nearest" });
    return () => {
      desk.choose = () => {};
      if (box?.contains(document.activeElement) && cameFrom instanceof HTMLElement && cameFrom.isConnected) cameFrom.focus({ preventScroll: true });
    };
  }, []);
  return <div class="close-form" role="group" aria-label={name} tabIndex={-1} ref={frame}><p class="close-lead">{lead}{keys && <span class="by-key"> {keys}</span>}</p>{children}</div>;
}

export function Choice({ at, name, meaning, onChoose, ...more }: { at: number; name: string; meaning?: string; onChoose: () => void; "data-disposition"?: string; "data-first"?: boolean }): JSX.Element {
  return (
    <button type="button" class="choice" onClick={onChoose} {...more}>
      <kbd>{at + 1}</kbd><span class="choice-name">{name}</span>{meaning && <span class="choice-meaning">{meaning}</span>}
    </button>
  );
}

export function CloseForm({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  const note = useRef<HTMLInputElement>(null);
  const choose = (at: number) => {
    const disposition = DISPOSITIONS[at];
    if (!disposition) return;
    const said = note.current?.value.trim() ?? "";
    desk.form.value = null;
    void desk.acts.close(incident.id, disposition[0], said);
  };
  return (
    <Form name="Close with disposition" lead="Close as…" keys="press 1 to 7, Esc to leave it open" choose={choose}>
      <div class="choices">
        {DISPOSITIONS.map(([disposition, name, meaning], at) => <Choice key={disposition} at={at} name={name} meaning={meaning} data-disposition={disposition} onChoose={() => choose(at)} />)}
      </div>
      <label for="close-note" class="visually-hidden">Note for the journal</label>
      <input ref={note} id="close-note" type="text" maxLength={500} autocomplete="off" placeholder="Note for the journal (optional)"
        onKeyDown={toFirstChoice} />
    </Form>
  );
}

export function MergeForm({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  // As they were when the form opened: a target must not move under the hand.
  const [targets] = useState(() => nearestInTime(incident, desk.book.all()));
  const choose = (at: number) => {
    const into = targets[at];
    if (!into) return;
    desk.form.value = null;
    void desk.acts.merge(incident.id, into.id);
  };
  const lead = targets.length ? "It is part of… nearest in time first" : "There is no other open incident that it could be part of.";
  return (
    <Form name="Merge into another incident" lead={lead} keys={targets.length ? NUMBER_KEYS : ""} choose={choose}>
      <div class="choices">
        {targets.map((other, at) => (
          <Choice key={other.id} at={at} name={`${words(other.label)}, ${place(other)}`} meaning={`${other.number}, ${duration(desk.clock.age(other.first_alert_at_ms))} old`} onChoose={() => choose(at)} />
        ))}
      </div>
    </Form>
  );
}

function nearestInTime(incident: Incident, others: readonly Incident[]): Incident[] {
  const away = (other: Incident) => Math.abs(other.first_alert_at_ms - incident.first_alert_at_ms);
  return others.filter((other) => other.id !== incident.id && other.state !== "closed" && other.quarantined === incident.quarantined)
    .sort((one, other) => away(one) - away(other)).slice(0, MOST_TARGETS);
}

export function ShelveForm({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  const reason = useRef<HTMLInputElement>(null);
  const flash = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState("");
  const choose = (at: number) => {
    const time = TIMES[at];
    if (!time) return;
    const why = reason.current?.value.trim() ?? "";
    if (!why) {
      setProblem("Give the reason first: it stands in the journal.");
      reason.current?.focus();
      return;
    }
    const coversFlash = flash.current?.checked ?? false;
    desk.form.value = null;
    void desk.acts.shelve({ node: incident.node.id, camera: incident.camera, label: incident.label, reason: why, minutes: time[0], covers_flash: coversFlash });
  };
  useEffect(() => reason.current?.focus(), []);
  return (
    <Form name="Shelve this source" lead={`Shelve “${words(incident.label)}” at ${place(incident)}: kept and listed, not sounded. Give the reason, then choose how long.`} choose={choose}>
      <label for="shelve-reason" class="visually-hidden">Reason</label>
      <input ref={reason} id="shelve-reason" type="text" data-first maxLength={300} autocomplete="off" required placeholder="Why nobody needs to hear it, e.g. film crew until 18:00"
        onKeyDown={toFirstChoice} />
      <label class="check"><input ref={flash} id="shelve-flash" type="checkbox" /> FLASH, too: sounds on until a supervisor agrees</label>
      <div class="choices">{TIMES.map(([minutes, name], at) => <Choice key={minutes} at={at} name={name} onChoose={() => choose(at)} />)}</div>
      <p class="form-problem" role="alert">{problem}</p>
    </Form>
  );
}

/** Enter leads on to the choices. It must not press the first of them: a key that goes on where the focus went would. */
export function toFirstChoice(event: TargetedKeyboardEvent<HTMLInputElement>): void {
  if (event.key !== "Enter") return;
  event.preventDefault();
  event.currentTarget.closest(".close-form")?.querySelector<HTMLElement>(".choice")?.focus();
}
