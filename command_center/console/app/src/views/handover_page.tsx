/** The end of a shift and the start of the next: what is open, what was said, and who has taken over. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { plural, words } from "../model/format";
import { quietTag } from "../model/warnings";
import { goTo } from "../page";
import type { HandoverPage as Page, HandoverSummary } from "../wire/dispatch_shapes";
import { useAnswer } from "./answer";
import { attempt } from "./attempt";
import { useDesk } from "./desk_context";
import { mayAct } from "./may";
import { Notice, useNotice } from "./notice";
import { PrecedenceMark } from "./precedence_mark";
import { Age, Time } from "./time";

export function HandoverPage(): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<Page>("/handovers", { everyMs: 30_000, on: ["incident", "unit", "shelves", "handover"] });
  const [notice, setNotice] = useNotice();
  const page = answer.value;
  const last = page?.last;
  const me = desk.session.value?.username;
  const isMine = last?.by.replace(/^user:/, "") === me;
  const send = (path: string, note: string, done: string) => attempt(async () => {
    answer.set(await desk.center.send<Page>("POST", path, { note }));
    return done;
  }, setNotice);
  return (
    <main id="page" tabIndex={-1} class="page handover" aria-labelledby="handover-title">
      <div class="page-head"><h2 id="handover-title">Shift handover</h2></div>
      {answer.problem && <p class="notice problem" role="alert">Not known: {answer.problem}</p>}
      <Notice said={notice} />
      {last && (
        <section class="card" aria-label="Last handover">
          <h3>Given by {last.by.replace(/^user:/, "")}, <Age at={last.at_ms} /> ago</h3>
          <p class="pre">{last.note || "No note."}</p>
          {last.taken_by
            ? <p><strong>Taken over by {last.taken_by.replace(/^user:/, "")}</strong> at <Time at={last.taken_at_ms} />{last.taken_note && `: ${last.taken_note}`}</p>
            : <p><strong>Nobody has taken over yet.</strong></p>}
          {!last.taken_by && isMine && <p class="hint">Somebody else takes over: whoever comes on shift signs in and presses the button here.</p>}
          {!last.taken_by && !isMine && mayAct(desk) && (
            <NoteForm label="What you found" button="I have read it and take over" send={(note) => send(`/handovers/${last.id}/take`, note, "You have taken over.")} />
          )}
        </section>
      )}
      {page && <Summary title="Open now" summary={page.now} />}
      {mayAct(desk) && page && (!last || last.taken_by) && (
        <section class="card" aria-label="Hand over">
          <h3>Hand over</h3>
          <p class="hint">What is open goes with it as it is now. Say what the list does not.</p>
          <NoteForm label="Note for the next shift" button="Hand over" send={(note) => send("/handovers", note, "Handed over. The next shift takes over here.")} />
        </section>
      )}
    </main>
  );
}

function NoteForm({ label, button, send }: { label: string; button: string; send: (note: string) => Promise<boolean> }): JSX.Element {
  const text = useRef<HTMLTextAreaElement>(null);
  const [isSending, setSending] = useState(false);
  return (
    <form class="line-form" aria-label={button} onSubmit={(event) => {
      event.preventDefault();
      setSending(true);
      void send(text.current?.value.trim() ?? "").then((isDone) => {
        if (isDone && text.current) text.current.value = "";
        setSending(false);
      });
    }}>
      <label class="wide-label">{label}<textarea ref={text} rows={3} maxLength={1000} /></label>
      <button type="submit" class="button primary" disabled={isSending}>{button}</button>
    </form>
  );
}

function Summary({ title, summary }: { title: string; summary: HandoverSummary }): JSX.Element {
  const desk = useDesk();
  const open = (id: number) => {
    desk.select(id);
    goTo("incidents");
  };
  // Counted as in the bar above: what people keep silent waits for nobody, and is said apart.
  const unacknowledged = summary.incidents.filter((incident) => incident.state === "unacknowledged");
  const waiting = unacknowledged.filter((incident) => !incident.quiet).length;
  const silent = unacknowledged.length - waiting;
  return (
    <section class="card" aria-label={title}>
      <h3>{title}: {plural(summary.incidents.length, "incident")}, {waiting} unacknowledged{silent > 0 && `, ${silent} kept silent`}</h3>
      {summary.incidents.length === 0 && <p class="hint">Nothing is open.</p>}
      <ul class="lines open-incidents">
        {summary.incidents.map((incident) => (
          <li key={incident.id}>
            <PrecedenceMark precedence={incident.precedence} /><button type="button" class="button quiet" onClick={() => open(incident.id)}>{incident.number}</button>
            <span>{words(incident.label)} at {[incident.site || incident.node, incident.camera].filter(Boolean).join(" · ")}, {incident.state}{incident.acknowledged_by ? ` by ${incident.acknowledged_by}` : ""}{incident.returned ? ", taken back" : ""}{incident.quiet ? `, ${quietTag(incident.quiet)}` : ""}, <Age at={incident.first_alert_at_ms} /> old</span>
          </li>
        ))}
      </ul>
      <Lines title="Units not free" rows={summary.units.map((unit) => <>{unit.name}: {words(unit.status)} for <Age at={unit.status_at_ms} />{unit.incident ? ` at incident ${unit.incident}` : ""}{unit.welfare_level > 0 && <strong>, not heard, reminder {unit.welfare_level}</strong>}</>)} />
      <Lines title="Shelved sources" rows={summary.shelves.map((shelf) => <>{shelf.label ? words(shelf.label) : "everything"} at {shelf.node}, {shelf.camera}: {shelf.reason} ({shelf.by}), until <Time at={shelf.until_ms} /></>)} />
      <Lines title="Not delivered" rows={summary.dead_callbacks.map((dead) => <>{words(dead.event.replace(".", " "))} of incident {dead.incident} to {dead.receiver}: {dead.last_answer}</>)} />
      <Lines title="Plan steps that nobody has settled" rows={summary.plan_steps.map((step) => <>Incident {step.incident}: {words(step.kind)} {step.target}</>)} />
      <Lines title="Shown to other agencies" rows={summary.shares.map((share) => <>Incident {share.incident} to {share.agency} until <Time at={share.until_ms} /></>)} />
      <Lines title="Notes of this shift" rows={summary.notes.map((note) => <><Time at={note.at_ms} /> {note.by.replace(/^user:/, "")}, incident {note.incident}: {note.text}</>)} />
    </section>
  );
}

function Lines({ title, rows }: { title: string; rows: readonly JSX.Element[] }): JSX.Element | null {
  if (rows.length === 0) return null;
  return <><h4>{title} ({rows.length})</h4><ul class="lines">{rows.map((row, at) => <li key={at}><span>{row}</span></li>)}</ul></>;
}
