// @ts-check
/** Says that an incident is part of another: the open ones, one key each. It can be taken out again. */

import { element } from "./element.js";
import { duration, place, words } from "./format.js";

/** @typedef {import("./types.js").Incident} Incident */

const MOST = 9;

export class MergeForm {
  #clock;
  #lead = element("p", { class: "close-lead" });
  #list = element("div", { class: "choices" });
  /** @type {Incident[]} */
  #targets = [];
  #id = 0;

  /** @param {import("./server_clock.js").ServerClock} clock */
  constructor(clock) {
    this.#clock = clock;
    /** @type {(id: number, into: number) => void} */
    this.onMerge = () => {};
    this.element = element("div", { class: "close-form", role: "group", "aria-label": "Merge into another incident" }, this.#lead, this.#list);
    this.element.hidden = true;
  }

  /**
   * @param {Incident} incident
   * @param {Incident[]} others
   */
  show(incident, others) {
    this.#id = incident.id;
    this.#targets = others.filter((other) => other.id !== incident.id && other.state !== "closed" && !other.merged_into && other.quarantined === incident.quarantined)
      .sort((one, other) => Math.abs(one.first_alert_at_ms - incident.first_alert_at_ms) - Math.abs(other.first_alert_at_ms - incident.first_alert_at_ms)).slice(0, MOST);
    this.#lead.textContent = this.#targets.length ? "It is part of… nearest in time first; press its number, Esc to leave it" : "There is no other open incident that it could be part of.";
    this.#list.replaceChildren(...this.#targets.map((other, at) => {
      const choice = element("button", { type: "button", class: "choice" }, element("kbd", {}, String(at + 1)),
        element("span", { class: "choice-name" }, `${words(other.label)}, ${place(other)}`),
        element("span", { class: "choice-meaning" }, `${other.number}, ${duration(this.#clock.age(other.first_alert_at_ms))} old`));
      choice.addEventListener("click", () => this.choose(at));
      return choice;
    }));
    this.element.hidden = false;
    /** @type {HTMLButtonElement|null} */ (this.#list.querySelector("button"))?.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  hide() {
    this.element.hidden = true;
  }

  /** @param {number} at Which of the targets, from 0. */
  choose(at) {
    const into = this.#targets[at];
    if (!into || this.element.hidden) return;
    this.hide();
    this.onMerge(this.#id, into.id);
  }
}
