/** What has not been heard yet about one incident: of its node, its pictures, its units and the way back. Pure. */

import type { FleetNode, Incident } from "../wire/shapes";
import { unheardOf } from "./fleet";
import { bytes, plural } from "./format";

/**
 * @param node The incident's node as the center last told of it; undefined where it is not in the fleet any more.
 * @param ageMs How long ago its last word came.
 * @returns A sentence for each thing; none: everything that is known to exist has arrived.
 */
export function notHeardOf(incident: Incident, node: FleetNode | undefined, state: string, ageMs: number | null): string[] {
  const lines = node ? unheardOf(node, state, ageMs) : [`${incident.node.name} is not in the fleet any more: nothing further will come of it`];
  if (!incident.snapshot_url) lines.push("Its picture: alerts go first, pictures follow");
  const coming = (incident.clips ?? []).filter((clip) => clip.url === null);
  if (coming.length > 0) lines.push(`${plural(coming.length, "clip")}, ${bytes(coming.reduce((sum, clip) => sum + clip.size_bytes, 0))}: on the way behind everything else`);
  for (const { unit, status } of incident.responding ?? []) {
    if (status === "assigned") lines.push(`${unit}: sent, and has not accepted yet`);
  }
  if (incident.acknowledged_at_ms !== null && incident.hops.acknowledged_to_node_ms === null) lines.push(`Whether ${incident.node.name} knows that a person has seen it`);
  if (incident.alerts?.some(({ journey }) => journey && !journey.whole)) lines.push("How long each hop held the alert: not every one has told");
  return lines;
}
