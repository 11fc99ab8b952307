/** Incidents for the tests. */

import type { Incident } from "../src/wire/shapes";

export function incident(id: number, facts: Partial<Incident> = {}): Incident {
  return {
    id, number: `INC-2026-${String(id).padStart(6, "0")}`, version: 1, state: "unacknowledged", label: "handgun", camera: "gate-2",
    node: { id: "n1", name: "harbor-01", site: "Harbor" }, zone: "yard", precedence: "FLASH", confidence: 0.9, rule: "class_of_interest",
    alert_count: 1, first_alert_at_ms: id * 1000, last_alert_at_ms: id * 1000, sighted_at_ms: id * 1000, clock_quality: "SYNCHRONIZED",
    snapshot_url: null, box_xyxy: [0, 0, 0, 0], acknowledged_by: null, acknowledged_at_ms: null, quarantined: false,
    hops: { sighting_to_spooled_ms: null, spooled_to_stored_ms: null, stored_to_receipt_ms: null, acknowledged_to_node_ms: null }, ...facts,
  };
}

/** Numbers that look random and are the same each time (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
