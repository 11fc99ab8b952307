import { expect, test } from "vitest";

import { parseCommand, stateCalled } from "../src/model/command";

test.each([
  ["s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
  ["/s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
  ["//s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
  ["/ / s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
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

test.each([
  ["s Engine 5 on scene", { kind: "unit-state", unit: "Engine 5", state: "on_scene" }],
  ["s engine 5 scene", { kind: "unit-state", unit: "engine 5", state: "on_scene" }],
  ["s Car out of service", { kind: "unit-state", unit: "Car", state: "out_of_service" }],
  ["s Car off off", { kind: "unit-state", unit: "Car off", state: "out_of_service" }],
  ["s Engine 7 en route", { kind: "unit-state", unit: "Engine 7", state: "en_route" }],
  ['s "Engine 5" on scene', { kind: "unit-state", unit: "Engine 5", state: "on_scene" }],
  ['d "Engine 9"', { kind: "assign", unit: "Engine 9" }],
  ["d engine 5", { kind: "assign", unit: "engine 5" }],
  ["r Engine 5", { kind: "release", unit: "Engine 5" }],
  ["heard Engine 5", { kind: "heard", unit: "Engine 5" }],
  ["s M21 en route", { kind: "unit-state", unit: "M21", state: "en_route" }],
])("with units of several words: %j", (line, command) => {
  expect(parseCommand(line, ["Engine 5", "Car", "Car off", "M21"])).toEqual(command);
});

test.each(["d Engine 9", "d Engine 5 6", 's "Engine 5', 'd "Engine 5" now', "heard Engine"])("with units of several words, %j says what is missing or is one word", (line) => {
  const command = parseCommand(line, ["Engine 5"]);
  expect(command.kind === "incomplete" || (command.kind === "heard" && command.unit === "Engine")).toBe(true);
});

test.each(["s", "s M21", "s M21 asleep", "s M21 a", "d", "d M21 M22", "note", "go", "r", "heard a b", "merge", "shelve", "shelve 60", "shelve 0 x", "shelve 481 x", "shelve ever x", "close", "close stolen", "open", "open moon"])("%j says what is missing and does nothing", (line) => {
  expect(parseCommand(line)).toMatchObject({ kind: "incomplete" });
});

test("a state is found by its beginning only where there is one such state", () => {
  expect(stateCalled("en")).toBe("en_route");
  expect(stateCalled("a")).toBeNull(); // available, assigned, accepted
  expect(stateCalled("constructor")).toBeNull();
});
