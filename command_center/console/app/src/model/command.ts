/**
 * The command bar's language. A line that begins with a verb is a command; anything else is a filter for the queue.
 *
 * `s M21 en route`, `d M21`, `r M21`, `heard M21`, `ack`, `close false alarm nobody there`, `note white van`,
 * `merge 12`, `shelve 60 film crew`, `go 12`, `open map`, `quay flash`. A unit's name of several words is written as it is
 * (`s Engine 5 on scene`), or in quotes (`s "Engine 5" on scene`).
 */

import type { Disposition } from "../wire/shapes";

/** What a unit can be, as the unit board says it. */
export const UNIT_STATES = ["available", "assigned", "accepted", "en_route", "on_scene", "clear", "out_of_service"] as const;
export type UnitState = (typeof UNIT_STATES)[number];
export const PAGES = ["incidents", "map", "units", "fleet", "handover", "callbacks", "audit", "accounts"] as const;
export type PageName = (typeof PAGES)[number];

const MOST_SHELVED_MIN = 480;
const DISPOSITIONS: readonly Disposition[] = ["false_alarm", "handled", "gone_on_arrival", "building_secure", "duplicate", "cancelled", "test"];
/** Short words that people say on the radio. */
const STATE_WORDS = new Map<string, UnitState>(Object.entries({
  free: "available", avail: "available", available: "available", assigned: "assigned", accepted: "accepted", accept: "accepted",
  enroute: "en_route", responding: "en_route", scene: "on_scene", onscene: "on_scene", arrived: "on_scene", clear: "clear",
  oos: "out_of_service", outofservice: "out_of_service", off: "out_of_service",
}));

export type Command =
  | { kind: "filter"; text: string }
  | { kind: "unit-state"; unit: string; state: UnitState }
  | { kind: "assign"; unit: string }
  | { kind: "release"; unit: string }
  | { kind: "heard"; unit: string }
  | { kind: "acknowledge" }
  | { kind: "merge"; number: string }
  | { kind: "shelve"; minutes: number; reason: string }
  | { kind: "close"; disposition: Disposition; note: string }
  | { kind: "note"; text: string }
  | { kind: "go"; number: string }
  | { kind: "open"; page: PageName }
  | { kind: "incomplete"; expected: string };

/** @param names The units on the board: of a name of several words they say where it ends. */
export function parseCommand(line: string, names: readonly string[] = []): Command {
  const text = line.trim().replace(/^[/\s]+/, ""); // the key that leads here is typed again while the last line is still on its way
  const [verb = "", ...rest] = text.split(/\s+/);
  const said = rest.join(" ");
  switch (verb.toLowerCase()) {
    case "s":
      return unitState(rest, names);
    case "d":
      return oneUnit(rest, names, (unit) => ({ kind: "assign", unit }), { kind: "incomplete", expected: "d UNIT: send a unit to the selected incident" });
    case "r":
      return oneUnit(rest, names, (unit) => ({ kind: "release", unit }), { kind: "incomplete", expected: "r UNIT: take a unit off the selected incident" });
    case "heard":
      return oneUnit(rest, names, (unit) => ({ kind: "heard", unit }), { kind: "incomplete", expected: "heard UNIT: it was heard on the radio" });
    case "merge":
      return rest.length === 1 && rest[0] ? { kind: "merge", number: rest[0] } : { kind: "incomplete", expected: "merge NUMBER: the selected incident is part of that one" };
    case "shelve":
      return shelving(rest);
    case "ack":
      return rest.length === 0 ? { kind: "acknowledge" } : { kind: "filter", text };
    case "close":
      return closing(rest);
    case "note":
      return said ? { kind: "note", text: said } : { kind: "incomplete", expected: "note TEXT: write into the selected incident's timeline" };
    case "go":
      return said ? { kind: "go", number: said } : { kind: "incomplete", expected: "go NUMBER: select an incident" };
    case "open": {
      const page = PAGES.find((name) => said !== "" && name.startsWith(said.toLowerCase()));
      return page ? { kind: "open", page } : { kind: "incomplete", expected: `open ${PAGES.join(" | ")}` };
    }
    default:
      return { kind: "filter", text };
  }
}

function unitState(rest: string[], names: readonly string[]): Command {
  const expected = "s UNIT STATE, such as s M21 en route; states: available, assigned, accepted, en route, on scene, clear, out of service";
  for (const [unit, said] of splits(rest, names)) {
    const state = stateCalled(said);
    if (state) return { kind: "unit-state", unit, state };
  }
  return { kind: "incomplete", expected };
}

function oneUnit(rest: string[], names: readonly string[], made: (unit: string) => Command, missing: Command): Command {
  const whole = splits(rest, names).find(([unit, more]) => more === "" && (rest.length === 1 || isNamed(unit, names) || isQuoted(rest)));
  return whole ? made(whole[0]) : missing;
}

/**
 * Where a unit's name can end, the likeliest first: at its closing quote; else after the longest name on the board; else as early as
 * possible, so that the rest says as much as it can ("Engine 5 on scene": "on scene", and not "scene" of a unit "Engine 5 on").
 */
function splits(rest: string[], names: readonly string[]): [unit: string, rest: string][] {
  const quoted = /^"([^"]+)"\s*(.*)$/.exec(rest.join(" "));
  if (quoted) return [[quoted[1] as string, quoted[2] as string]];
  const every = rest.map((_, at): [string, string] => [rest.slice(0, at + 1).join(" "), rest.slice(at + 1).join(" ")]);
  const known = every.filter(([unit]) => isNamed(unit, names)).reverse();
  return [...known, ...every];
}

function isQuoted(rest: string[]): boolean {
  return /^"[^"]+"/.test(rest.join(" "));
}

function isNamed(unit: string, names: readonly string[]): boolean {
  return names.some((name) => name.toLowerCase() === unit.toLowerCase());
}

/** The state that a person means: by its words, a shorter word, or the beginning of either. */
export function stateCalled(said: string): UnitState | null {
  const squeezed = said.toLowerCase().replaceAll(/[\s_-]/g, "");
  if (!squeezed) return null;
  const known = STATE_WORDS.get(squeezed);
  if (known) return known;
  const begun = UNIT_STATES.filter((state) => state.replaceAll("_", "").startsWith(squeezed));
  return begun.length === 1 ? (begun[0] ?? null) : null;
}

function shelving([minutes = "", ...reason]: string[]): Command {
  const count = /^\d+$/.test(minutes) ? Number(minutes) : 0;
  if (count < 1 || count > MOST_SHELVED_MIN || reason.length === 0) return { kind: "incomplete", expected: `shelve MINUTES REASON: keep the selected incident's source silent for 1 to ${MOST_SHELVED_MIN} minutes; FLASH still sounds` };
  return { kind: "shelve", minutes: count, reason: reason.join(" ") };
}

function closing(rest: string[]): Command {
  const said = rest.join(" ").toLowerCase().replaceAll("-", " ");
  for (const disposition of DISPOSITIONS) {
    const name = disposition.replaceAll("_", " ");
    if (said === name || said.startsWith(`${name} `)) {
      return { kind: "close", disposition, note: rest.slice(name.split(" ").length).join(" ") };
    }
  }
  return { kind: "incomplete", expected: `close ${DISPOSITIONS.map((name) => name.replaceAll("_", " ")).join(" | ")} [note]` };
}
