import { expect, test } from "vitest";

import { refusalWords, roomWords, stateWords, troublesOf, unheardOf } from "../src/model/fleet";
import type { FleetNode } from "../src/wire/shapes";

const NODE: FleetNode = {
  id: "01", name: "gate", role: "camera", site: "yard", state: "live", last_heard_at_ms: 1, last_heard_age_ms: 1, interval_s: 10, gaps: [],
  missing: 0, forgone: 0, backlog: [], oldest_waiting_s: 0, cameras: [], paths: [], model: "", release: "",
};

test("a node whose disk is full is said to store alerts only", () => {
  const full: FleetNode = { ...NODE, room: "disk_full" };
  expect(roomWords(full)).toContain("disk is full");
  expect(unheardOf(full, "live", 0)).toEqual([`gate: ${roomWords(full)}`]);
  expect(troublesOf(full)).toContain("alerts only");
});

test("a node with room, and one from before rooms were told, have no trouble", () => {
  expect([roomWords(NODE), roomWords({ ...NODE, room: "free" }), troublesOf(NODE)]).toEqual(["", "", ""]);
});

test("refusals are named, the most frequent first", () => {
  expect(refusalWords({ ...NODE, refusals: { malformed: 2, over_quota: 40 } })).toBe("over quota 40, malformed 2");
  expect(refusalWords(NODE)).toBe("");
});

test("while the stream is lost no node is said to be live", () => {
  expect(stateWords("live", true)).toBe("● live");
  expect(stateWords("live", false)).toBe("was live");
});
