// @ts-check
/** The line at the head of the page and the title of its tab: how much waits for a person. */

import { byId, setText } from "./element.js";

/**
 * @param {import("./incidents.js").Incidents} incidents
 * @param {boolean} isLost Whether the stream is lost: then even the tab says so.
 */
export function showSummary(incidents, isLost) {
  const waiting = incidents.unacknowledged();
  const flashes = waiting.filter((incident) => incident.precedence === "FLASH").length;
  const open = incidents.all().filter((incident) => incident.state !== "closed").length;
  const lead = waiting.length === 0 ? "Nothing unacknowledged" : `${waiting.length} unacknowledged${flashes ? `, ${flashes} FLASH` : ""}`;
  const summary = byId("summary");
  setText(summary, `${lead} · ${open} open`);
  summary.classList.toggle("has-flash", flashes > 0);
  document.title = `${isLost ? "NOT LIVE · " : ""}${waiting.length ? `(${waiting.length}${flashes ? " FLASH" : ""}) ` : ""}Heard`;
}
