import { describe, expect, test } from "vitest";

import { IncidentBook, isAnnunciated, queueOrder } from "../src/model/incident_book";
import type { Incident, Precedence } from "../src/wire/shapes";
import { chance, incident } from "./incidents";

describe("the order of the queue", () => {
  test("unacknowledged FLASH stands first, then by urgency, acknowledged after that, closed last", () => {
    const book = new IncidentBook();
    book.replace([
      incident(1, { precedence: "PRIORITY" }), incident(2), incident(3, { precedence: "IMMEDIATE" }), incident(4, { state: "acknowledged" }),
      incident(5, { state: "closed" }), incident(6, { quiet: "flood" }), incident(7),
    ]);
    expect(book.wanted("", true)).toEqual([7, 2, 3, 1, 6, 4, 5]);
    expect(book.wanted("", false)).toEqual([7, 2, 3, 1, 6, 4]);
  });

  test("a joining alert does not make its row jump", () => {
    const [one, two] = [incident(1), incident(2)];
    expect(queueOrder(one, two)).toBeGreaterThan(0);
    expect(queueOrder({ ...one, last_alert_at_ms: 9e9, alert_count: 5 }, two)).toBeGreaterThan(0);
  });

  test("kept incrementally it is what sorting would give, and the counts are what counting would give", () => {
    const next = chance(7);
    const book = new IncidentBook();
    const latest = new Map<number, Incident>();
    const pick = <Value>(values: readonly Value[]) => values[Math.floor(next() * values.length)] as Value;
    for (let step = 1; step <= 4000; step += 1) {
      const id = 1 + Math.floor(next() * 300);
      const told = incident(id, {
        version: step, state: pick(["unacknowledged", "acknowledged", "closed"] as const), precedence: pick(["FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE"] as Precedence[]),
        quiet: pick(["", "", "flood"] as const), quarantined: next() < 0.1, merged_into: next() < 0.1 ? 999 : null, first_alert_at_ms: Math.floor(next() * 50),
      });
      book.take(told);
      latest.set(id, { ...latest.get(id), ...told });
    }
    const standing = [...latest.values()].filter((one) => !one.merged_into).sort(queueOrder);
    expect(book.all().map((one) => one.id)).toEqual(standing.map((one) => one.id));
    const waiting = standing.filter((one) => one.state === "unacknowledged" && isAnnunciated(one));
    expect(book.counts).toEqual({
      waiting: waiting.length, flash: waiting.filter((one) => one.precedence === "FLASH").length, open: standing.filter((one) => one.state !== "closed").length,
    });
  });
});

describe("what the center tells", () => {
  test("an older word changes nothing", () => {
    const book = new IncidentBook();
    expect(book.take(incident(1, { version: 3, state: "acknowledged" }))).toBe("new");
    expect(book.take(incident(1, { version: 2 }))).toBe("old");
    expect(book.take(incident(1, { version: 3, state: "acknowledged", alert_count: 2 }))).toBe("changed");
    expect(book.take(incident(1, { version: 3, state: "acknowledged", alert_count: 1 }))).toBe("old");
    expect(book.get(1)?.alert_count).toBe(2);
  });

  test("a page that arrives after an event does not undo it", () => {
    const book = new IncidentBook();
    book.take(incident(1, { version: 2, state: "closed" }));
    book.take(incident(1, { version: 1 }));
    expect(book.wanted("", false)).toEqual([]);
    expect(book.counts.open).toBe(0);
  });

  test("the timeline that was asked for stays when the row changes", () => {
    const book = new IncidentBook();
    book.take(incident(1, { timeline: [{ at_ms: 1, what: "alert", who: "n1", detail: "" }] }));
    book.take(incident(1, { version: 2, state: "acknowledged" }));
    expect(book.get(1)?.timeline).toHaveLength(1);
  });

  test("every word of a filter must be found", () => {
    const book = new IncidentBook();
    book.replace([incident(1, { camera: "quay" }), incident(2, { camera: "quay", precedence: "PRIORITY" }), incident(3)]);
    expect(book.wanted("quay flash", false)).toEqual([1]);
  });
});
