/** Who goes there, what the plan says, and what people wrote down: the part of the details that is about people. */

import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";

import { sentence, words } from "../model/format";
import { goTo } from "../page";
import { announce } from "../sound/announcer";
import type { IncidentResponse, Recommendation, Unit } from "../wire/dispatch_shapes";
import type { Incident } from "../wire/shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Choice, Form, NUMBER_KEYS } from "./forms";
import { may, mayAct } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Plans } from "./plans";
import { Sharing } from "./sharing";
import { Age, Time } from "./time";
import { inOrder, STATUS_SIGNS } from "./units_page";

const MOST_CHOICES = 9;

export function Response({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<IncidentResponse>(`/incidents/${incident.id}/response`, { on: ["incident", "unit"] });
  const [notice, setNotice] = useNotice();
  void desk.units.all.value;
  const isOpen = incident.state !== "closed";
  const tell = (text: string) => {
    setNotice(text);
    announce(text);
    answer.again();
  };
  const ended = answer.value?.assignments.filter((row) => row.ended_at_ms !== null) ?? [];
  return (
    <section class="response" aria-label="Response">
      {isOpen && <Plans incident={incident} plans={answer.value?.plans ?? []} tell={tell} />}
      <h3>Who goes there</h3>
      {answer.problem && <p class="form-problem">Not known: {answer.problem}</p>}
      <ul class="responding">
        {answer.value?.units.map((told) => <Responder key={told.name} unit={desk.units.called(told.name) ?? told} incident={incident} tell={tell} />)}
        {ended.map((row) => <li key={`${row.unit} ${row.assigned_at_ms}`} class="hint">{row.unit} was sent at <Time at={row.assigned_at_ms} />, {words(row.ended_as)} at <Time at={row.ended_at_ms} /></li>)}
        {answer.value && answer.value.units.length === 0 && <li class="hint">Nobody has been sent.</li>}
      </ul>
      <Notice said={notice} />
      <h3>Notes</h3>
      <ul class="notes">
        {answer.value?.notes.map((note) => <li key={note.id}><Time at={note.at_ms} class="timeline-at" /> <strong>{note.by.replace(/^user:/, "")}</strong> {note.text}</li>)}
      </ul>
      {mayAct(desk) && <NoteLine incident={incident} tell={tell} />}
      {may(desk, "incidents.share") && answer.value?.shares && <Sharing incident={incident} shares={answer.value.shares} tell={tell} />}
    </section>
  );
}

function Responder({ unit, incident, tell }: { unit: Unit; incident: Incident; tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const isHere = unit.incident === incident.id;
  return (
    <li class="unit" data-unit={unit.name} data-status={unit.status}>
      <span class="unit-name">{unit.name}</span>
      <span class="unit-status"><span aria-hidden="true">{STATUS_SIGNS[unit.status] ?? "?"}</span> {words(unit.status)} for <Age at={unit.status_at_ms} /></span>
      {mayAct(desk) && isHere && <span class="unit-steps">
        {inOrder(unit.steps).filter((step) => !["assigned", "out_of_service", "available"].includes(step)).map((step) => <button key={step} type="button" class="button" aria-disabled={isBusy} aria-label={`${unit.name}: ${words(step)}`}
          onClick={() => once(() => desk.dispatch.setStatus(unit, step).then(({ text }) => tell(text)))}>{sentence(step)}</button>)}
        <button type="button" class="button quiet" aria-disabled={isBusy} aria-label={`${unit.name}: take off`} onClick={() => once(() => desk.dispatch.release(incident.id, unit).then(({ text }) => tell(text)))}>Take off</button>
      </span>}
    </li>
  );
}

function NoteLine({ incident, tell }: { incident: Incident; tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const input = useRef<HTMLInputElement>(null);
  const isSending = useRef(false);
  const send = async () => {
    const text = input.current?.value.trim() ?? "";
    if (!text || isSending.current) return;
    isSending.current = true;
    const said = await desk.dispatch.note(incident.id, text);
    isSending.current = false;
    if (said.isDone && input.current) input.current.value = "";
    tell(said.isDone ? "" : said.text);
  };
  return (
    <form class="line-form note-line" aria-label="Write a note" onSubmit={(event) => {
      event.preventDefault();
      void send();
    }}>
      <label class="visually-hidden" for="note">Note</label>
      <input id="note" ref={input} maxLength={4000} autocomplete="off" placeholder="Write a note; it stays as it is written" aria-keyshortcuts="w" onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.blur();
      }} />
      <button type="submit" class="button">Write <kbd>w</kbd></button>
    </form>
  );
}

export function focusNote(): void {
  document.getElementById("note")?.focus();
}

/** Who should go, with the reasons: one key sends a unit. */
export function AssignForm({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  const { value, problem } = useAnswer<{ scene: unknown; units: Recommendation[] }>(`/incidents/${incident.id}/recommendations`);
  // As they were when the answer came: a number must not become another unit's under the hand. Who goes there already, or is out of service, would be refused.
  const [shown, out] = useMemo(() => {
    const others = (value?.units ?? []).map((row) => ({ ...row, incident: desk.units.called(row.unit)?.incident ?? null })).filter((row) => row.incident !== incident.id);
    return [others.filter((row) => row.status !== "out_of_service").slice(0, MOST_CHOICES), others.filter((row) => row.status === "out_of_service")];
  }, [value]);
  const choose = (at: number) => {
    const chosen = shown[at];
    if (!chosen) return;
    desk.form.value = null;
    void desk.dispatch.assign(incident.id, chosen.unit, chosen.version).then((said) => desk.acts.tell(incident.id, said.text, said.isDone ? "plain" : "problem"));
  };
  const lead = problem ? `Not known who is free: ${problem}` : !value ? "Asking who is nearest…" : value.units.length === 0 ? "There is no unit on the board." : shown.length === 0 ? "There is nobody else to send." : "Send… the best first";
  return (
    <Form name="Send a unit" lead={lead} keys={shown.length > 0 ? NUMBER_KEYS : ""} choose={choose}>
      <div class="choices">
        {shown.map((row, at) => <Choice key={row.unit} at={at} name={`${row.unit}: ${words(row.status)}`} meaning={meaning(row)} onChoose={() => choose(at)} />)}
      </div>
      {out.length > 0 && <p class="hint">Out of service: {out.map((row) => row.unit).join(", ")}.</p>}
      {value !== null && shown.length === 0 && <p class="hint">Units come onto the board, and become available, on the page of units. <button type="button" class="button" onClick={() => goTo("units")}>Go to the units</button></p>}
      {value !== null && value.scene === null && <p class="hint">Nobody has said where this camera stands: distances are not known.</p>}
    </Form>
  );
}

function meaning({ reasons, incident }: Recommendation & { incident: number | null }): string {
  const [, ...more] = reasons; // the first is its status, which stands in the name already
  return [incident === null ? "" : `is taken away from incident ${incident}`, ...more].filter(Boolean).join(", ");
}
