import { expect, test } from "vitest";

import { quietTag, warnings } from "../src/model/warnings";
import { incident } from "./incidents";

test("an incident that makes no sound says why in the same words everywhere, and none of them is the center's own", () => {
  expect(warnings(incident(1, { quiet: "flood" })).map(([tag]) => tag)).toEqual(["held back"]);
  expect(["flood", "shelved"].map(quietTag)).toEqual(["held back", "shelved"]);
});
