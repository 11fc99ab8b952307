import { expect, test } from "vitest";

import { duration, percent, span } from "../src/model/format";
import { ServerClock } from "../src/model/server_clock";

test("an age is the center's, however wrong the desk's computer is", () => {
  const time = { now: 0 };
  const clock = new ServerClock(() => time.now);
  clock.heard(1_000_000);
  time.now = 5000;
  expect(clock.age(1_000_000)).toBe(5000);
  clock.heard(1_000_100); // a word that was long on its way does not turn the clock back
  expect(clock.age(1_000_000)).toBe(5000);
  expect(clock.age(2_000_000)).toBe(0);
  expect(clock.age(null)).toBeNull();
});

test("what is not known is said to be not known", () => {
  expect(duration(Number.NaN)).toBe("unknown");
  expect(span(undefined)).toBe("not known");
  expect(percent(null)).toBe("unknown");
  expect([duration(59_999), duration(60_000), duration(3_660_000), duration(-5)]).toEqual(["59 s", "1 min 00 s", "1 h 01 min", "0 s"]);
});
