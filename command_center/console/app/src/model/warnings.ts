/** What to know about an incident beyond what was seen: a tag, and what it means. */

import type { Incident } from "../wire/shapes";
import { words } from "./format";

/** Why an incident makes no sound, in as few words. */
export function quietTag(quiet: string): string {
  return quiet === "flood" ? "held back" : words(quiet);
}

/** What the center calls the steps of re-notification. */
export const LEVELS = ["", "again", "second position", "supervisor"] as const;

export function warnings(incident: Incident): [tag: string, meaning: string][] {
  const found: [string, string][] = [];
  if (incident.quarantined) found.push(["quarantined", "The node is in quarantine: kept and shown, not annunciated."]);
  if (incident.quiet === "shelved") found.push([quietTag("shelved"), "People keep this source silent for a while: kept and shown, not sounded."]);
  if (incident.quiet === "flood") found.push([quietTag("flood"), "More alarms came than a person can take in: kept and shown; it sounds as soon as there is room."]);
  if (incident.returned && incident.state !== "closed") found.push(["taken back", "The camera's node has taken every alert of this incident back."]);
  if (incident.level && incident.state === "unacknowledged") found.push([LEVELS[incident.level] ?? "again", "Nobody has acknowledged it in time: it was notified again."]);
  if (incident.parts?.length) found.push([`+ ${incident.parts.length}`, `Incidents merged into this one: ${incident.parts.join(", ")}.`]);
  if (words(incident.clock_quality) === "unset") found.push(["clock unset", "The node's clock was never set: times and ages are the center's."]);
  return found;
}
