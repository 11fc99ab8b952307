/** One row of the queue. It is drawn anew in place: it never moves by itself. */

import type { JSX } from "preact";

import type { Notice } from "../desk";
import { percent, place, plural, words } from "../model/format";
import { warnings } from "../model/warnings";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { mayAct } from "./may";
import { Picture } from "./picture";
import { PrecedenceMark } from "./precedence_mark";
import { Age, Time } from "./time";

interface RowProps {
  incident: Incident;
  at: number;
  of: number;
  topPx: number;
  isSelected: boolean;
  notice: Notice | undefined;
  onOpen: () => void;
  onAcknowledge: () => void;
}

export function Row({ incident, at, of, topPx, isSelected, notice, onOpen, onAcknowledge }: RowProps): JSX.Element {
  const desk = useDesk();
  const tags = warnings(incident);
  const state = [incident.state, ...tags.map(([tag]) => tag)].join(", ");
  const classes = `row${isSelected ? " selected" : ""}${incident.quarantined ? " quarantined" : ""}${incident.quiet ? " silent" : ""}`;
  return (
    <li class={classes} data-incident={incident.id} data-precedence={incident.precedence} data-state={incident.state}
      aria-setsize={of} aria-posinset={at + 1} style={{ top: `${topPx}px` }}>
      <span class="row-mark"><PrecedenceMark precedence={incident.precedence} /></span>
      <Picture incident={incident} class="thumbnail" />
      <div class="row-body">
        <button type="button" class="row-open" tabIndex={isSelected ? 0 : -1} aria-current={isSelected ? "true" : undefined} onClick={onOpen}>
          <span class="visually-hidden">{incident.precedence}: </span>
          <span class="row-label">{words(incident.label)}</span>
          <span class="row-place" title={place(incident)}><span class="visually-hidden">, </span>{place(incident)}<span class="visually-hidden">, {state}</span></span>
        </button>
        <span class="row-line">
          <span class="row-tags">{tags.map(([tag, meaning]) => <span key={tag} class="tag" title={meaning}>{tag}</span>)}</span>
          <span class="row-facts"><Facts incident={incident} /></span>
        </span>
      </div>
      <div class="row-time">
        <span class="row-age"><Age at={incident.first_alert_at_ms} /></span>
        <span class="row-since"><Time at={incident.first_alert_at_ms} /></span>
      </div>
      <div class="row-end">
        <span class="row-state"><State incident={incident} /></span>
        {(incident.responding?.length ?? 0) > 0 && <span class="row-units">{incident.responding?.map(({ unit, status }) => `${unit} ${words(status)}`).join(", ")}</span>}
        {incident.state === "unacknowledged" && mayAct(desk) && (
          <button type="button" class="button acknowledge" tabIndex={isSelected ? 0 : -1} aria-keyshortcuts="a" onClick={onAcknowledge}>Acknowledge <kbd>a</kbd></button>
        )}
        <span class="row-notice" role="status" title={notice?.text}>{notice?.text}</span>
      </div>
    </li>
  );
}

/** Its number first: in a narrow queue the end is cut off, and the number is what people say to each other. */
function Facts({ incident }: { incident: Incident }): JSX.Element {
  const [, year = "", number = incident.number] = /^(.*-)(\d+)$/.exec(incident.number) ?? [];
  return (
    <>
      <span class="row-year">{year}</span>{number}<span class="row-more"> · {percent(incident.confidence)}{incident.alert_count > 1 && <> · {plural(incident.alert_count, "alert")}, last <Age at={incident.last_alert_at_ms} /> ago</>}</span>
    </>
  );
}

function State({ incident }: { incident: Incident }): JSX.Element {
  if (incident.state === "unacknowledged") return <>Unacknowledged</>; // how far it has got is a tag: two lines would push the button out of the row
  if (incident.state === "closed") return <>{incident.disposition ? `Closed: ${words(incident.disposition)}` : "Closed"}</>;
  return <>Acknowledged{incident.acknowledged_by ? ` by ${incident.acknowledged_by}` : ""}{incident.acknowledged_at_ms !== null && <span class="row-state-age">, <span><Age at={incident.acknowledged_at_ms} /> ago</span></span>}</>;
}
