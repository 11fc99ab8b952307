/** The way of the incident's first alert, hop by hop, as the stations on it tell, each of itself and signed. */

import type { JSX } from "preact";

import { isKnown, span } from "../model/format";
import type { Incident, Journey as Way } from "../wire/shapes";

export function Journey({ incident }: { incident: Incident }): JSX.Element | null {
  const way = incident.alerts?.find((alert) => alert.journey)?.journey;
  if (!way) return null;
  return (
    <div class="journey">
      {way.owner && <p class="hops-lead">{way.owner}</p>}
      <ol>
        {way.hops.map((hop, at) => (
          <li key={`${hop.station.id} ${at}`}>
            <strong>{hop.station.name || hop.station.id}</strong> held it {isKnown(hop.held_ms) ? span(hop.held_ms) : "for a time not told"}, then {hop.path || "a path not told"}
            {hop.provider && ` (${hop.provider}${hop.metered ? ", metered" : ""})`} to {hop.to ? hop.to.name || hop.to.id : "this command center"}
            {isKnown(hop.answered_ms) && `: ${hop.answer || "answered"} after ${span(hop.answered_ms)}`}{hop.tries > 1 && `, ${hop.tries} tries`}
          </li>
        ))}
      </ol>
      <Copies way={way} />
      {!way.whole && <p class="hint">Not every hop has told yet.</p>}
    </div>
  );
}

function Copies({ way }: { way: Way }): JSX.Element | null {
  if (way.copies.length === 0) return null;
  const said = way.copies.map((copy) => `${copy.path}${copy.provider ? ` (${copy.provider})` : ""} from ${copy.station.name || copy.station.id}${isKnown(copy.answered_ms) ? `, answered after ${span(copy.answered_ms)}` : ", not answered"}`);
  return <p class="hint">Sent in parallel, too: {said.join("; ")}.</p>;
}
