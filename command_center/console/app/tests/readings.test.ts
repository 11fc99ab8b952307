import { expect, test } from "vitest";

import { between, overWords, rungSign, rungWords, statusLine, waitingWords } from "../src/live/readings";

const at = (ms: number, bytes: number, packets: number, lost: number, frames: number) => ({ at: ms, bytes, packets, lost, frames });

test("rate, loss and frames are those of the time between two looks", () => {
  expect(between(at(1000, 0, 0, 0, 0), at(3000, 500_000, 90, 10, 60))).toEqual({ kbps: 2000, loss: 0.1, fps: 30 });
});

test("packets that came late after all are no negative loss", () => {
  expect(between(at(0, 0, 0, 5, 0), at(1000, 1000, 10, 3, 1))?.loss).toBe(0);
});

test("counters of another connection, or of the same moment, say nothing", () => {
  expect(between(at(0, 900, 10, 0, 1), at(1000, 100, 2, 0, 0))).toBeNull();
  expect(between(at(5, 0, 0, 0, 0), at(5, 0, 0, 0, 0))).toBeNull();
});

test("the line says what is known and leaves out what is not", () => {
  expect(statusLine({ kbps: 1840, loss: 0.002, fps: 25 }, 130.4, 412)).toBe("picture 130 ms old · 1.8 Mbit/s · 0.2 % lost · first picture after 0.41 s");
  expect(statusLine({ kbps: 90, loss: 0.5, fps: 2 }, 4200, null)).toBe("picture 4.2 s old · 90 kbit/s · 50 % lost");
  expect(statusLine(null, null, null)).toBe("");
});

test("every rung is said in words", () => {
  for (const rung of ["main", "sub", "stills", "relay-stills"]) expect(rungWords(rung)).not.toBe("Connecting");
});

test("a rung that is less than the camera's picture has another sign", () => {
  const signs = ["main", "sub", "stills", "relay-stills"].map(rungSign);
  expect(signs[0]).not.toBe(signs[1]);
  expect(signs[1]).not.toBe(signs[2]);
});

test("while no picture is here, the words say who was asked and whether it answered", () => {
  expect(waitingWords("gate", false, 3400)).toBe("Asking gate for its picture…");
  expect(waitingWords("gate", true, 4200)).toBe("gate has answered: its picture is on the way…");
  expect(waitingWords("gate", true, 12_000)).toContain("single pictures follow");
});

test("what was never shown is not said to have ended", () => {
  expect(overWords("gate does not answer: it was last heard 41 s ago", false)).toBe("Not shown: gate does not answer: it was last heard 41 s ago.");
  expect(overWords("the node was revoked.", true)).toBe("Ended: the node was revoked.");
  expect(overWords("", true)).toBe("You stopped watching.");
});
