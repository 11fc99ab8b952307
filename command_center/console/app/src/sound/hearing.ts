/** When an incident is sounded and spoken: once when it opens, and again where nobody answers or it stops being held back. */

import { percent, place, words } from "../model/format";
import { isAnnunciated } from "../model/incident_book";
import { LEVELS } from "../model/warnings";
import type { Incident } from "../wire/shapes";
import type { AlarmSound } from "./alarm_sound";
import { announce } from "./announcer";

/**
 * @param incident As it is now.
 * @param held As it was; undefined if it is new.
 */
export function hear(incident: Incident, held: Incident | undefined, sound: AlarmSound): void {
  if (incident.state !== "unacknowledged" || !isAnnunciated(incident)) return;
  const level = incident.level ?? 0;
  if (held && isAnnunciated(held) && held.state === "unacknowledged" && level <= (held.level ?? 0)) return;
  sound.alert(incident.precedence);
  const why = level ? `Nobody has acknowledged, ${LEVELS[level] ?? "again"}:` : "New";
  announce(`${why} ${incident.precedence}: ${words(incident.label)}, ${place(incident)}, ${percent(incident.confidence)}`, { isUrgent: incident.precedence === "FLASH" });
}
