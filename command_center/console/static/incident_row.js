// @ts-check
/** One row of the queue. The row is updated in place: it never moves by itself. */

import { element, setText } from "./element.js";
import { duration, percent, place, plural, timeElement, words } from "./format.js";
import { Picture } from "./picture.js";
import { precedenceMark } from "./precedence.js";

/** @typedef {import("./types.js").Incident} Incident */

/** What the center calls the steps of re-notification. */
export const LEVELS = ["", "again", "second position", "supervisor"];

/**
 * What to know about the row beyond what was seen: a tag, and what it means.
 *
 * @param {Incident} incident
 * @returns {[string, string][]}
 */
export function warnings(incident) {
  /** @type {[string, string][]} */
  const found = [];
  if (incident.quarantined) found.push(["quarantined", "The node is in quarantine: kept and shown, not annunciated."]);
  if (incident.quiet === "shelved") found.push(["shelved", "People keep this source silent for a while: kept and shown, not sounded."]);
  if (incident.quiet === "flood") found.push(["held back", "More alarms came than a person can take in: kept and shown; it sounds as soon as there is room."]);
  if (incident.returned && incident.state !== "closed") found.push(["taken back", "The camera's node has taken every alert of this incident back."]);
  if (incident.level && incident.state === "unacknowledged") found.push([LEVELS[incident.level] ?? "again", "Nobody has acknowledged it in time: it was notified again."]);
  if (incident.parts?.length) found.push([`+ ${incident.parts.length}`, `Incidents merged into this one: ${incident.parts.join(", ")}.`]);
  if (words(incident.clock_quality) === "unset") found.push(["clock unset", "The node's clock was never set: times and ages are the center's."]);
  return found;
}

export class IncidentRow {
  #clock;
  #mark = element("span", { class: "row-mark" });
  #picture = new Picture("thumbnail");
  #label = element("span", { class: "row-label" });
  #place = element("span", { class: "row-place" });
  #facts = element("span", { class: "row-facts" });
  #tags = element("span", { class: "row-tags" });
  #age = element("span", { class: "row-age" });
  #since = element("span", { class: "row-since" });
  #state = element("span", { class: "row-state" });
  #notice = element("span", { class: "row-notice", role: "status" });

  /**
   * @param {Incident} incident
   * @param {import("./server_clock.js").ServerClock} clock
   */
  constructor(incident, clock) {
    this.#clock = clock;
    this.incident = incident;
    this.id = incident.id;
    this.open = element("button", { type: "button", class: "row-open", tabindex: "-1" }, this.#label, this.#place);
    this.acknowledge = element("button", { type: "button", class: "button acknowledge", tabindex: "-1", "aria-keyshortcuts": "a" }, "Acknowledge ", element("kbd", {}, "a"));
    this.element = element("li", { class: "row", "data-incident": incident.id },
      this.#mark, this.#picture.element,
      element("div", { class: "row-body" }, this.open, this.#facts, this.#tags),
      element("div", { class: "row-time" }, this.#age, this.#since),
      element("div", { class: "row-end" }, this.#state, this.acknowledge, this.#notice));
    this.update(incident);
  }

  /** @param {Incident} incident */
  update(incident) {
    const was = this.incident;
    this.incident = incident;
    if (!this.#mark.hasChildNodes() || was.precedence !== incident.precedence) this.#mark.replaceChildren(precedenceMark(incident.precedence));
    this.element.dataset.precedence = incident.precedence;
    this.element.dataset.state = incident.state;
    this.element.classList.toggle("quarantined", incident.quarantined);
    this.element.classList.toggle("silent", !!incident.quiet);
    this.#picture.show(incident);
    setText(this.#label, words(incident.label));
    setText(this.#place, place(incident));
    const tags = warnings(incident);
    const shown = tags.map(([tag]) => tag).join();
    if (this.#tags.dataset.shown !== shown) this.#tags.replaceChildren(...tags.map(([tag, meaning]) => element("span", { class: "tag", title: meaning }, tag)));
    this.#tags.dataset.shown = shown;
    this.open.setAttribute("aria-label", `${incident.precedence}: ${words(incident.label)}, ${place(incident)}, ${incident.state}${tags.map(([tag]) => `, ${tag}`).join("")}`);
    this.#since.replaceChildren(timeElement(incident.first_alert_at_ms));
    this.acknowledge.hidden = incident.state !== "unacknowledged";
    if (incident.state !== was.state) setText(this.#notice, "");
    this.tick();
  }

  /** Lets ages tick. */
  tick() {
    const { incident } = this;
    setText(this.#age, duration(this.#clock.age(incident.first_alert_at_ms)));
    const repeated = incident.alert_count > 1 ? `${plural(incident.alert_count, "alert")}, last ${duration(this.#clock.age(incident.last_alert_at_ms))} ago` : "1 alert";
    setText(this.#facts, [percent(incident.confidence), repeated, incident.number].join(" · "));
    setText(this.#state, this.#stateWords());
  }

  /**
   * Says something that belongs to this row only, such as who was first.
   *
   * @param {string} text
   */
  notice(text) {
    setText(this.#notice, text);
  }

  /** @param {boolean} isSelected */
  select(isSelected) {
    this.element.classList.toggle("selected", isSelected);
    this.open.tabIndex = isSelected ? 0 : -1;
    this.acknowledge.tabIndex = isSelected ? 0 : -1;
    if (isSelected) this.open.setAttribute("aria-current", "true");
    else this.open.removeAttribute("aria-current");
  }

  #stateWords() {
    const { incident } = this;
    if (incident.state === "unacknowledged") return "Unacknowledged";
    if (incident.state === "closed") return incident.disposition ? `Closed: ${words(incident.disposition)}` : "Closed";
    const age = this.#clock.age(incident.acknowledged_at_ms);
    return `Acknowledged${incident.acknowledged_by ? ` by ${incident.acknowledged_by}` : ""}${age === null ? "" : `, ${duration(age)} ago`}`;
  }
}
