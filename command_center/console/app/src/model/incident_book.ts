/**
 * What the console knows of incidents, kept in the order in which they deserve a look.
 *
 * Ten thousand may be open. So nothing here sorts or counts anew when one changes: it leaves its place, and a binary
 * search finds the new one.
 */

import type { Incident } from "../wire/shapes";
import { rank } from "./precedence";

/** Whether people are to hear of it: not in quarantine, not shelved, not held back in a flood, not part of another. */
export function isAnnunciated(incident: Incident): boolean {
  return !incident.quarantined && !incident.quiet && !incident.merged_into;
}

function standing(incident: Incident): number {
  if (incident.state === "closed") return 3;
  if (incident.state === "acknowledged") return 2;
  return isAnnunciated(incident) ? 0 : 1;
}

/**
 * Order of the queue: unacknowledged first, FLASH first among them; then acknowledged, then closed; newest first. The
 * time is the first alert's at the center, so a repeated alert does not make its row jump.
 */
export function queueOrder(one: Incident, other: Incident): number {
  const place = standing(one);
  const places = place - standing(other);
  if (places !== 0) return places;
  const ranks = place < 2 ? rank(one.precedence) - rank(other.precedence) : 0;
  return ranks || other.first_alert_at_ms - one.first_alert_at_ms || other.id - one.id;
}

/** How many wait for a person; FLASH among them; and how many are open at all. */
export interface Counts {
  waiting: number;
  flash: number;
  open: number;
}

export class IncidentBook {
  #byId = new Map<number, Incident>();
  #order: Incident[] = [];
  #searchText = new WeakMap<Incident, string>();
  readonly counts: Counts = { waiting: 0, flash: 0, open: 0 };

  /**
   * Takes an incident as the center tells it; one older than the one held changes nothing. People's acts raise the
   * version, joining alerts the count.
   */
  take(incident: Incident): "new" | "changed" | "old" {
    const held = this.#byId.get(incident.id);
    if (held && (held.version > incident.version || (held.version === incident.version && held.alert_count > incident.alert_count))) return "old";
    if (held) this.#leave(held);
    const taken = held ? { ...held, ...incident } : incident;
    this.#byId.set(taken.id, taken);
    this.#enter(taken);
    return held ? "changed" : "new";
  }

  /** Forgets everything else and holds these. */
  replace(incidents: readonly Incident[]): void {
    this.#byId = new Map(incidents.map((incident) => [incident.id, incident]));
    this.#order = [...this.#byId.values()].filter((incident) => !incident.merged_into).sort(queueOrder);
    Object.assign(this.counts, { waiting: 0, flash: 0, open: 0 });
    for (const incident of this.#order) this.#count(incident, 1);
  }

  get(id: number | null): Incident | undefined {
    return id === null ? undefined : this.#byId.get(id);
  }

  /** Those that stand by themselves, in the order of the queue: what is merged into another is shown with it. */
  all(): readonly Incident[] {
    return this.#order;
  }

  /** The ids that a queue with this filter shows, in order. Every word of the filter must be found. */
  wanted(filter: string, showsClosed: boolean): number[] {
    const asked = filter.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const ids: number[] = [];
    for (const incident of this.#order) {
      if (!showsClosed && incident.state === "closed") break; // closed ones stand last
      if (asked.length === 0 || this.#matches(incident, asked)) ids.push(incident.id);
    }
    return ids;
  }

  #matches(incident: Incident, asked: readonly string[]): boolean {
    let text = this.#searchText.get(incident);
    if (text === undefined) {
      text = [incident.number, incident.label, incident.camera, incident.zone, incident.node.name, incident.node.site,
        incident.precedence, incident.state, incident.acknowledged_by].join(" ").toLowerCase();
      this.#searchText.set(incident, text);
    }
    const found = text;
    return asked.every((word) => found.includes(word));
  }

  #enter(incident: Incident): void {
    if (incident.merged_into) return;
    this.#order.splice(this.#place(incident), 0, incident);
    this.#count(incident, 1);
  }

  #leave(incident: Incident): void {
    if (incident.merged_into) return;
    const at = this.#place(incident);
    if (this.#order[at]?.id !== incident.id) throw new Error(`expected incident ${incident.id} at its place ${at}, found ${this.#order[at]?.id}`);
    this.#order.splice(at, 1);
    this.#count(incident, -1);
  }

  /** The first place whose incident does not come before this one. */
  #place(incident: Incident): number {
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (queueOrder(this.#order[middle] as Incident, incident) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #count(incident: Incident, by: 1 | -1): void {
    if (incident.state !== "closed") this.counts.open += by;
    if (incident.state !== "unacknowledged" || !isAnnunciated(incident)) return;
    this.counts.waiting += by;
    if (incident.precedence === "FLASH") this.counts.flash += by;
  }
}
