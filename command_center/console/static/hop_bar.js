// @ts-check
/** "Who owns the delay?": what each hop took, the longest named. */

import { element } from "./element.js";
import { isKnown, span } from "./format.js";

/** @typedef {import("./types.js").Incident} Incident */

/**
 * @typedef {object} Hop
 * @property {string} owner
 * @property {string} what
 * @property {number|null} ms
 * @property {string} ifUnknown
 */

/**
 * @param {Incident} incident
 * @returns {Hop[]}
 */
function machineHops({ hops }) {
  const onTheWay = hops.spooled_to_stored_ms;
  return [
    { owner: "Camera", what: "seen → stored on the node", ms: hops.sighting_to_spooled_ms, ifUnknown: "not told" },
    // A node whose clock is ahead would seem to have sent into the past: that is no measurement.
    { owner: "Network", what: "node → center, durable", ms: isKnown(onTheWay) && onTheWay >= 0 ? onTheWay : null, ifUnknown: isKnown(onTheWay) ? "node's clock is ahead" : "node's clock cannot say" },
    { owner: "Center", what: "stored → receipt signed", ms: hops.stored_to_receipt_ms, ifUnknown: "waiting" },
  ];
}

/**
 * @param {Incident} incident
 * @param {number|null} waitingMs How long it has waited for a person so far, when nobody has acknowledged.
 */
export function hopBar(incident, waitingMs) {
  const hops = machineHops(incident);
  const known = hops.filter((hop) => isKnown(hop.ms));
  const total = known.reduce((sum, hop) => sum + Math.max(0, hop.ms ?? 0), 0);
  const longest = known.reduce((/** @type {Hop|null} */ most, hop) => (most === null || (hop.ms ?? 0) > (most.ms ?? 0) ? hop : most), null);
  const rows = hops.map((hop) => hopRow(hop, total, hop === longest && known.length > 1));
  const took = isKnown(incident.acknowledged_at_ms) ? incident.acknowledged_at_ms - incident.first_alert_at_ms : null;
  return element("div", { class: "hops" },
    element("p", { class: "hops-lead" }, leadWords(hops, total, longest)),
    element("div", { class: "hop-rows" }, ...rows,
      hopRow({ owner: "Person", what: took === null ? "stored → acknowledged, waiting" : "stored → acknowledged", ms: took ?? waitingMs, ifUnknown: "closed unacknowledged" }, 0, false),
      hopRow({ owner: "Way back", what: "acknowledged → node", ms: incident.hops.acknowledged_to_node_ms, ifUnknown: incident.acknowledged_at_ms ? "not confirmed yet" : "not yet" }, 0, false)));
}

/**
 * @param {Hop[]} hops
 * @param {number} total
 * @param {Hop|null} longest
 */
function leadWords([camera, network, center], total, longest) {
  if (!longest || total <= 0) return "No hop has been timed yet.";
  if (!isKnown(camera.ms) || !isKnown(network.ms)) return "The whole is not known: one hop could not be timed.";
  const share = Math.round((100 * (longest.ms ?? 0)) / total);
  return `Seen to ${isKnown(center.ms) ? "receipt" : "stored"} in ${span(total)}, ${share} % of it ${longest.owner.toLowerCase()}.`;
}

/**
 * @param {Hop} hop
 * @param {number} total The whole that the bar shows a share of; 0 for none.
 * @param {boolean} isLongest
 */
function hopRow(hop, total, isLongest) {
  const bar = element("span", { class: "hop-bar" });
  const part = element("span", { class: "hop-part" });
  if (total > 0 && isKnown(hop.ms)) {
    part.style.width = `${Math.max(0.5, (100 * Math.max(0, hop.ms)) / total).toFixed(1)}%`;
    bar.append(part);
  }
  return element("div", { class: `hop${isLongest ? " longest" : ""}${total > 0 ? "" : " bare"}` },
    element("span", { class: "hop-owner" }, hop.owner),
    element("span", { class: "hop-what" }, hop.what),
    bar,
    element("span", { class: "hop-time" }, isKnown(hop.ms) ? span(hop.ms) : hop.ifUnknown));
}
