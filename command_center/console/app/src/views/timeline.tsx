/** Everything that happened to an incident, the newest first. */

import type { JSX } from "preact";

import { sentence } from "../model/format";
import type { Incident } from "../wire/shapes";
import { Time } from "./time";

export function Timeline({ incident }: { incident: Incident }): JSX.Element {
  // Reversed before it is sorted: of one moment, the later entry stands first, too.
  const entries = [...(incident.timeline ?? [])].reverse().sort((one, other) => other.at_ms - one.at_ms);
  return (
    <ol class="timeline">
      {entries.length === 0 && <li class="hint">Asking for the timeline…</li>}
      {entries.map((entry, at) => (
        <li key={`${entry.at_ms} ${entry.what} ${at}`}>
          <Time at={entry.at_ms} class="timeline-at" />
          <span class="timeline-what">{sentence(entry.said ?? entry.what)}</span>
          <span class="timeline-who" title={entry.who}>{actor(entry.who, incident)}</span>
          <span class="timeline-detail">{entry.detail}</span>
        </li>
      ))}
    </ol>
  );
}

/** Who did it, in a person's words: the incident's own node by its name. */
export function actor(who: string | null | undefined, incident: Incident): string {
  const name = who ?? "";
  return name.endsWith(incident.node.id) ? incident.node.name : name.replace(/^[a-z]+:/, "");
}
