/** The pane of the selected incident: picture, facts, who owns the delay, timeline, and what can be done. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { isKnown, percent, place, plural, words } from "../model/format";
import { warnings } from "../model/warnings";
import type { Incident } from "../wire/shapes";
import { Clips } from "./clips";
import { useDesk } from "./desk_context";
import { CloseForm, MergeForm, ShelveForm } from "./forms";
import { HoldLine } from "./holds";
import { HopBar } from "./hop_bar";
import { Journey } from "./journey";
import { LivePlayer } from "./live_player";
import { may, mayAct } from "./may";
import { Picture } from "./picture";
import { PrecedenceMark } from "./precedence_mark";
import { RedactLine } from "./redactions";
import { AssignForm, Response } from "./response";
import { Suppressed } from "./suppressions";
import { Age, Time } from "./time";
import { Timeline } from "./timeline";
import { NotHeard } from "./unheard";

export function Detail(): JSX.Element {
  const desk = useDesk();
  const pane = useRef<HTMLElement>(null);
  void desk.revision.value;
  const id = desk.selectedId.value;
  const incident = desk.book.get(id);
  useLayoutEffect(() => {
    if (pane.current) pane.current.scrollTop = 0;
  }, [id]);
  return (
    <section id="detail" class="detail" aria-label="Selected incident" tabIndex={-1} ref={pane} data-precedence={incident?.precedence} data-state={incident?.state}>
      {incident
        ? <Content key={incident.id} incident={incident} />
        : <p class="empty">Nothing selected. An incident's picture, facts and timeline stand here.</p>}
    </section>
  );
}

function Content({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  const notice = desk.notices.value.get(incident.id);
  const form = desk.form.value;
  const isOpen = incident.state !== "closed" && mayAct(desk);
  return (
    <div class="detail-content">
      <header class="detail-head">
        <button type="button" class="button quiet back" onClick={() => {
          desk.isDetailOpen.value = false;
          desk.focusAsked.value += 1;
        }}>‹ Queue</button>
        <PrecedenceMark precedence={incident.precedence} />
        <h2 class="detail-title">{words(incident.label)}</h2>
        <span class="detail-number">{incident.number}</span>
      </header>
      <p class="detail-place">{place(incident)}</p>
      <div class="actions">
        <p class="detail-state"><State incident={incident} /></p>
        <div class="buttons">
          {incident.state === "unacknowledged" && isOpen && <button type="button" class="button primary" aria-keyshortcuts="a" onClick={() => void desk.acts.acknowledge(incident.id)}>Acknowledge <kbd>a</kbd></button>}
          {isOpen && may(desk, "units.dispatch") && <button type="button" class={`button${incident.state === "acknowledged" && !incident.responding?.length ? " primary" : ""}`} aria-keyshortcuts="u" aria-expanded={form === "assign"} onClick={() => desk.toggleForm("assign")}>Send… <kbd>u</kbd></button>}
          {isOpen && <button type="button" class="button" aria-keyshortcuts="c" aria-expanded={form === "close"} onClick={() => desk.toggleForm("close")}>Close… <kbd>c</kbd></button>}
          {isOpen && <button type="button" class="button quiet" aria-keyshortcuts="g" aria-expanded={form === "merge"} onClick={() => desk.toggleForm("merge")}>Merge… <kbd>g</kbd></button>}
          {isOpen && may(desk, "sources.shelve") && <button type="button" class="button quiet" aria-keyshortcuts="s" aria-expanded={form === "shelve"} onClick={() => desk.toggleForm("shelve")}>Shelve… <kbd>s</kbd></button>}
        </div>
      </div>
      <p class="returned" role="status">{incident.returned && incident.state !== "closed" ? "Taken back: the camera's node has retracted every alert of this incident. Look before you send anybody." : ""}</p>
      {form === "assign" && <AssignForm incident={incident} />}
      {form === "close" && <CloseForm incident={incident} />}
      {form === "merge" && <MergeForm incident={incident} />}
      {form === "shelve" && <ShelveForm incident={incident} />}
      <p class={`notice${notice?.tone === "problem" ? " problem" : ""}`} role="status">{notice?.text}</p>
      {incident.state === "closed" && incident.disposition === "false_alarm" && <Suppressed incident={incident} />}
      <Parts parts={incident.parts ?? []} />
      <Picture incident={incident} class="large" />
      <LivePlayer incident={incident} />
      <Clips clips={incident.clips ?? []} />
      <Response incident={incident} />
      <HoldLine incident={incident} />
      <RedactLine incident={incident} />
      <div class="detail-columns">
        <section><h3>Facts</h3><Facts incident={incident} /></section>
        <section><h3>Who owns the delay?</h3><HopBar incident={incident} /><Journey incident={incident} /></section>
      </div>
      <NotHeard incident={incident} />
      <section><h3>Timeline</h3><Timeline incident={incident} /></section>
    </div>
  );
}

/** What people merged in; each can be taken out again. */
function Parts({ parts }: { parts: readonly number[] }): JSX.Element | null {
  const desk = useDesk();
  if (parts.length === 0) return null;
  return <div class="parts">{parts.map((part) => <button key={part} type="button" class="button quiet" onClick={() => void desk.acts.unmerge(part)}>Take incident {part} out</button>)}</div>;
}

function State({ incident }: { incident: Incident }): JSX.Element {
  if (incident.state === "unacknowledged") return <>Unacknowledged for <Age at={incident.first_alert_at_ms} /></>;
  const by = incident.acknowledged_by ? <>Acknowledged by {incident.acknowledged_by}, <Age at={incident.acknowledged_at_ms} /> ago</> : <>Never acknowledged</>;
  if (incident.state === "acknowledged") return by;
  return <>Closed{incident.disposition ? ` as ${words(incident.disposition)}` : ""}{incident.closed_by ? ` by ${incident.closed_by}` : ""}. {by}.</>;
}

function Facts({ incident }: { incident: Incident }): JSX.Element {
  const quality = words(incident.clock_quality);
  return (
    <dl class="facts">
      <dt>Confidence</dt><dd>{percent(incident.confidence)}</dd>
      <dt>Rule</dt><dd>{words(incident.rule) || "unknown"}</dd>
      <dt>Node</dt><dd>{incident.node.name}{incident.node.site && `, ${incident.node.site}`}</dd>
      <dt>Alerts</dt><dd>{plural(incident.alert_count, "alert")}</dd>
      <dt>First heard</dt><dd><Time at={incident.first_alert_at_ms} /></dd>
      <dt>Last heard</dt><dd><Time at={incident.last_alert_at_ms} /></dd>
      <dt>Sighted</dt>
      <dd>{quality === "unset" || !isKnown(incident.sighted_at_ms) ? "node's clock was never set" : <><Time at={incident.sighted_at_ms} /> by the node's clock ({quality})</>}</dd>
      {incident.note && <><dt>Note</dt><dd>{incident.note}</dd></>}
      {warnings(incident).map(([tag, meaning]) => [<dt key={tag} class="warning">{tag}</dt>, <dd key={`${tag} meaning`} class="warning">{meaning}</dd>])}
    </dl>
  );
}
