// @ts-check
/** When an incident is sounded and spoken: once when it opens, and again where nobody answers or it stops being held back. */

import { announce } from "./announcer.js";
import { percent, place, words } from "./format.js";
import { LEVELS } from "./incident_row.js";
import { isAnnunciated } from "./incidents.js";

/** @typedef {import("./types.js").Incident} Incident */

/**
 * @param {Incident} incident As it is now.
 * @param {Incident|undefined} held As it was; undefined if it is new.
 * @param {import("./alarm_sound.js").AlarmSound} sound
 */
export function hear(incident, held, sound) {
  if (incident.state !== "unacknowledged" || !isAnnunciated(incident)) return;
  const level = incident.level ?? 0;
  if (held && isAnnunciated(held) && held.state === "unacknowledged" && level <= (held.level ?? 0)) return;
  sound.alert(incident.precedence);
  const why = level ? `Nobody has acknowledged, ${LEVELS[level]}:` : "New";
  announce(`${why} ${incident.precedence}: ${words(incident.label)}, ${place(incident)}, ${percent(incident.confidence)}`, { isUrgent: incident.precedence === "FLASH" });
}
