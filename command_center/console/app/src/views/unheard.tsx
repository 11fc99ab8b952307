/** "What we have not heard yet" of the selected incident: silence is named, so that nobody takes it for good news. */

import type { JSX } from "preact";

import { notHeardOf } from "../model/unheard";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";

export function NotHeard({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  void desk.streamState.value;
  const node = desk.fleet.nodes.value.find(({ id }) => id === incident.node.id);
  const lines = desk.streamState.value === "lost" ? ["Anything since the stream was lost"] : [];
  lines.push(...notHeardOf(incident, node, node ? desk.fleet.state(node) : "unknown", node ? desk.fleet.age(node) : null));
  return (
    <section class="not-heard" aria-label="What we have not heard yet">
      <h3>What we have not heard yet</h3>
      {lines.length === 0
        ? <p class="hint">Nothing: all that is known to exist has arrived.</p>
        : <ul class="not-heard-lines">{lines.map((line) => <li key={line}>{line}</li>)}</ul>}
    </section>
  );
}
