/** "Who owns the delay?": what each hop took, the longest named. */

import type { JSX } from "preact";

import { isKnown, span } from "../model/format";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";

interface Hop {
  owner: string;
  what: string;
  ms: number | null;
  ifUnknown: string;
}

function machineHops({ hops }: Incident): [camera: Hop, network: Hop, center: Hop] {
  const onTheWay = hops.spooled_to_stored_ms;
  return [
    { owner: "Camera", what: "seen → stored on the node", ms: hops.sighting_to_spooled_ms, ifUnknown: "not told" },
    // A node whose clock is ahead would seem to have sent into the past: that is no measurement.
    { owner: "Network", what: "node → center, durable", ms: isKnown(onTheWay) && onTheWay >= 0 ? onTheWay : null, ifUnknown: isKnown(onTheWay) ? "node's clock is ahead" : "node's clock cannot say" },
    { owner: "Center", what: "stored → receipt signed", ms: hops.stored_to_receipt_ms, ifUnknown: "waiting" },
  ];
}

export function HopBar({ incident }: { incident: Incident }): JSX.Element {
  const desk = useDesk();
  if (incident.state === "unacknowledged") void desk.second.value;
  const waitingMs = incident.state === "unacknowledged" ? desk.clock.age(incident.first_alert_at_ms) : null;
  const hops = machineHops(incident);
  const known = hops.filter((hop) => isKnown(hop.ms));
  const total = known.reduce((sum, hop) => sum + Math.max(0, hop.ms ?? 0), 0);
  const longest = known.reduce<Hop | null>((most, hop) => (most === null || (hop.ms ?? 0) > (most.ms ?? 0) ? hop : most), null);
  const took = isKnown(incident.acknowledged_at_ms) ? incident.acknowledged_at_ms - incident.first_alert_at_ms : null;
  return (
    <div class="hops">
      <p class="hops-lead">{leadWords(hops, total, longest)}</p>
      <div class="hop-rows">
        {hops.map((hop) => <HopRow key={hop.owner} hop={hop} total={total} isLongest={hop === longest && known.length > 1} />)}
        <HopRow hop={{ owner: "Person", what: took === null ? "stored → acknowledged, waiting" : "stored → acknowledged", ms: took ?? waitingMs, ifUnknown: "closed unacknowledged" }} total={0} isLongest={false} />
        <HopRow hop={{ owner: "Way back", what: "acknowledged → node", ms: incident.hops.acknowledged_to_node_ms, ifUnknown: incident.acknowledged_at_ms ? "not confirmed yet" : "not yet" }} total={0} isLongest={false} />
      </div>
    </div>
  );
}

function leadWords([camera, network, center]: [Hop, Hop, Hop], total: number, longest: Hop | null): string {
  if (!longest || total <= 0) return "No hop has been timed yet.";
  if (!isKnown(camera.ms) || !isKnown(network.ms)) return "The whole is not known: one hop could not be timed.";
  const share = Math.round((100 * (longest.ms ?? 0)) / total);
  return `Seen to ${isKnown(center.ms) ? "receipt" : "stored"} in ${span(total)}, ${share} % of it ${longest.owner.toLowerCase()}.`;
}

/** @param total The whole that the bar shows a share of; 0 for none. */
function HopRow({ hop, total, isLongest }: { hop: Hop; total: number; isLongest: boolean }): JSX.Element {
  const isBarred = total > 0 && isKnown(hop.ms);
  return (
    <div class={`hop${isLongest ? " longest" : ""}${total > 0 ? "" : " bare"}`}>
      <span class="hop-owner">{hop.owner}</span>
      <span class="hop-what">{hop.what}</span>
      <span class="hop-bar">{isBarred && <span class="hop-part" style={{ width: `${Math.max(0.5, (100 * Math.max(0, hop.ms ?? 0)) / total).toFixed(1)}%` }} />}</span>
      <span class="hop-time">{isKnown(hop.ms) ? span(hop.ms) : hop.ifUnknown}</span>
    </div>
  );
}
