import { expect, test } from "vitest";

import { parseCommand, stateCalled } from "../src/model/command";

test.each([
  ["s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
  ["/s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
  ["S m21 ON-SCENE", { kind: "unit-state", unit: "m21", state: "on_scene" }],
  ["s M21 oos", { kind: "unit-state", unit: "M21", state: "out_of_service" }],
  ["d M21", { kind: "assign", unit: "M21" }],
  ["r M21", { kind: "release", unit: "M21" }],
  ["heard M21", { kind: "heard", unit: "M21" }],
  ["merge 12", { kind: "merge", number: "12" }],
  ["shelve 60 film crew", { kind: "shelve", minutes: 60, reason: "film crew" }],
  ["ack", { kind: "acknowledge" }],
  ["close false alarm a broom", { kind: "close", disposition: "false_alarm", note: "a broom" }],
  ["close handled", { kind: "close", disposition: "handled", note: "" }],
  ["note white van, no plates", { kind: "note", text: "white van, no plates" }],
  ["go 12", { kind: "go", number: "12" }],
  ["open fl", { kind: "open", page: "fleet" }],
  ["quay flash", { kind: "filter", text: "quay flash" }],
  ["station", { kind: "filter", text: "station" }],
  ["acknowledged rivera", { kind: "filter", text: "acknowledged rivera" }],
  ["", { kind: "filter", text: "" }],
])("%j", (line, command) => {
  expect(parseCommand(line)).toEqual(command);
});

test.each(["s", "s M21", "s M21 asleep", "s M21 a", "d", "d M21 M22", "note", "go", "r", "heard a b", "merge", "shelve", "shelve 60", "shelve 0 x", "shelve 481 x", "shelve ever x", "close", "close stolen", "open", "open moon"])("%j says what is missing and does nothing", (line) => {
  expect(parseCommand(line)).toMatchObject({ kind: "incomplete" });
});

test("a state is found by its beginning only where there is one such state", () => {
  expect(stateCalled("en")).toBe("en_route");
  expect(stateCalled("a")).toBeNull(); // available, assigned, accepted
  expect(stateCalled("constructor")).toBeNull();
});
