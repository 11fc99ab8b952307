// @ts-check
/** What the console knows of incidents, and the order in which they deserve a look. */

import { rank } from "./precedence.js";

/** @typedef {import("./types.js").Incident} Incident */

export class Incidents {
  /** @type {Map<number, Incident>} */
  #byId = new Map();

  /**
   * Takes an incident as the center tells it; one older than the one held changes nothing. People's acts raise the
   * version, joining alerts the count.
   *
   * @param {Incident} incident
   * @returns {"new"|"changed"|"old"}
   */
  take(incident) {
    const held = this.#byId.get(incident.id);
    if (held && (held.version > incident.version || (held.version === incident.version && held.alert_count > incident.alert_count))) return "old";
    this.#byId.set(incident.id, { ...held, ...incident });
    return held ? "changed" : "new";
  }

  /**
   * Forgets everything else and holds these.
   *
   * @param {Incident[]} incidents
   */
  replace(incidents) {
    this.#byId = new Map(incidents.map((incident) => [incident.id, incident]));
  }

  /** @param {number|null} id */
  get(id) {
    return id === null ? undefined : this.#byId.get(id);
  }

  /** Those that stand by themselves: what is merged into another is shown with it. */
  all() {
    return [...this.#byId.values()].filter((incident) => !incident.merged_into);
  }

  /** Those that nobody has seen yet and that may be annunciated. */
  unacknowledged() {
    return this.all().filter((incident) => incident.state === "unacknowledged" && isAnnunciated(incident));
  }
}

/**
 * Whether people are to hear of it: not in quarantine, not shelved, not held back in a flood, not part of another.
 *
 * @param {Incident} incident
 */
export function isAnnunciated(incident) {
  return !incident.quarantined && !incident.quiet && !incident.merged_into;
}

/** @param {Incident} incident */
function place(incident) {
  if (incident.state === "closed") return 3;
  if (incident.state === "acknowledged") return 2;
  return isAnnunciated(incident) ? 0 : 1;
}

/**
 * Order of the queue: unacknowledged first, FLASH first among them; then acknowledged, then closed; newest first. The
 * time is the first alert's at the center, so a repeated alert does not make its row jump.
 *
 * @param {Incident} one
 * @param {Incident} other
 */
export function queueOrder(one, other) {
  const places = place(one) - place(other);
  if (places !== 0) return places;
  const ranks = place(one) < 2 ? rank(one.precedence) - rank(other.precedence) : 0;
  return ranks || other.first_alert_at_ms - one.first_alert_at_ms || other.id - one.id;
}
