import { expect, test } from "vitest";

import { markedPlaces } from "../src/model/marks";
import type { FleetNode } from "../src/wire/shapes";
import { incident } from "./incidents";

const node: FleetNode = {
  id: "n1", name: "harbor-01", role: "camera", site: "Harbor", state: "live", last_heard_at_ms: 1, last_heard_age_ms: 1, interval_s: 10, gaps: [], missing: 0, forgone: 0,
  backlog: [], oldest_waiting_s: 0, paths: [], model: "", release: "", cameras: [{ camera: "gate-2", state: "seeing", frames_per_s: 10, detail: "" }, { camera: "quay", state: "lost", frames_per_s: 0, detail: "" }],
};

test("a camera stands at the most exact place that is known, with its most urgent open incident in words", () => {
  const places = [{ name: "Harbor", lat: 1, lon: 2 }, { name: "harbor-01/gate-2", lat: 3, lon: 4 }];
  const incidents = [incident(2, { precedence: "IMMEDIATE" }), incident(1, { state: "acknowledged" }), incident(9, { state: "closed" })];
  const [gate, quay] = markedPlaces(places, [{ node, state: "live" }], incidents, []);
  expect(gate).toMatchObject({ lat: 3, lon: 4, sign: "⬢", tone: "immediate", incident: 2, words: "2 open incidents, 1 unacknowledged, IMMEDIATE, seeing" });
  expect(quay).toMatchObject({ lat: 1, lon: 2, sign: "▲", tone: "troubled", incident: null, words: "lost" });
});

test("what has no place stands nowhere, and a camera that no heartbeat names yet is not forgotten", () => {
  expect(markedPlaces([], [{ node, state: "live" }], [incident(1)], [])).toEqual([]);
  const marks = markedPlaces([{ name: "harbor-01", lat: 1, lon: 2 }], [{ node: { ...node, cameras: [] }, state: "late" }], [incident(1)], []);
  expect(marks).toMatchObject([{ name: "harbor-01/gate-2", tone: "flash", incident: 1 }]);
});

test("cameras that stand at one place are one mark, the worst of them in front", () => {
  const [one, ...none] = markedPlaces([{ name: "Harbor", lat: 1, lon: 2 }], [{ node, state: "live" }], [incident(1, { camera: "quay" })], []);
  expect(none).toEqual([]);
  expect(one).toMatchObject({ name: "harbor-01/quay and 1 more", tone: "flash", incident: 1 });
  expect(one?.words).toContain("harbor-01/gate-2: seeing");
});
