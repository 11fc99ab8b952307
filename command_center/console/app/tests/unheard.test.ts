import { expect, test } from "vitest";

import { notHeardOf } from "../src/model/unheard";
import type { FleetNode } from "../src/wire/shapes";
import { incident } from "./incidents";

const node: FleetNode = {
  id: "n1", name: "harbor-01", role: "camera", site: "Harbor", state: "live", last_heard_at_ms: 1, last_heard_age_ms: 1, interval_s: 10, gaps: [], missing: 0, forgone: 0,
  backlog: [], oldest_waiting_s: 0, paths: [], model: "", release: "", cameras: [],
};
const whole = { snapshot_url: "/s" };

test("where all has arrived nothing is named", () => {
  expect(notHeardOf(incident(1, whole), node, "live", 1000)).toEqual([]);
});

test("a picture, a clip, a unit's word and the way back are each named while they are missing", () => {
  const told = incident(1, {
    acknowledged_at_ms: 5, responding: [{ unit: "M21", status: "assigned" }, { unit: "T7", status: "en_route" }],
    clips: [{ sha256: "a", size_bytes: 2_000_000, begins_at_ms: 1, url: null }, { sha256: "b", size_bytes: 9, begins_at_ms: 1, url: "/c" }],
    alerts: [{ journey: { hops: [], copies: [], total_ms: null, owner: "", whole: false } }],
  });
  expect(notHeardOf(told, node, "live", 1000)).toEqual([
    "Its picture: alerts go first, pictures follow", "1 clip, 2.0 MB: on the way behind everything else", "M21: sent, and has not accepted yet",
    "Whether harbor-01 knows that a person has seen it", "How long each hop held the alert: not every one has told",
  ]);
});

test("a silent node, its gaps and a node that is gone are named first", () => {
  const [silent, missing] = notHeardOf(incident(1, whole), { ...node, missing: 3, gaps: [[4, 6]] }, "silent", 70_000);
  expect(silent).toBe("harbor-01 silent: no word for 1 min 10 s, expected every 10 s");
  expect(missing).toBe("harbor-01: 3 messages missing (4–6)");
  expect(notHeardOf(incident(1, whole), undefined, "unknown", null)).toEqual(["harbor-01 is not in the fleet any more: nothing further will come of it"]);
});
