// @ts-check
/** Keeps a source silent for a while: how long, why, and whether FLASH too, which takes a second person. */

import { element } from "./element.js";
import { place, words } from "./format.js";

/** @typedef {import("./types.js").Incident} Incident */
/** @typedef {import("./types.js").Shelving} Shelving */

/** @type {readonly [number, string][]} */
const TIMES = [[15, "15 minutes"], [60, "1 hour"], [240, "4 hours"], [480, "8 hours"]];

export class ShelveForm {
  #lead = element("p", { class: "close-lead" });
  #reason = element("input", { type: "text", id: "shelve-reason", maxlength: "300", autocomplete: "off", required: true, placeholder: "Why nobody needs to hear it, e.g. film crew until 18:00" });
  #flash = element("input", { type: "checkbox", id: "shelve-flash" });
  #problem = element("p", { class: "form-problem", role: "alert" });
  /** @type {Incident|null} */
  #incident = null;

  constructor() {
    /** @type {(shelving: Shelving) => void} */
    this.onShelve = () => {};
    const choices = TIMES.map(([minutes, name], at) => {
      const choice = element("button", { type: "button", class: "choice" }, element("kbd", {}, String(at + 1)), element("span", { class: "choice-name" }, name));
      choice.addEventListener("click", () => this.choose(at));
      return { choice, minutes };
    });
    this.element = element("div", { class: "close-form", role: "group", "aria-label": "Shelve this source" }, this.#lead,
      element("label", { for: "shelve-reason", class: "visually-hidden" }, "Reason"), this.#reason,
      element("label", { class: "check" }, this.#flash, " FLASH, too: sounds on until a supervisor agrees"),
      element("div", { class: "choices" }, ...choices.map(({ choice }) => choice)), this.#problem);
    this.#reason.addEventListener("keydown", (event) => event.key === "Enter" && choices[0].choice.focus());
    this.element.hidden = true;
  }

  /** @param {Incident} incident */
  show(incident) {
    this.#incident = incident;
    this.#reason.value = "";
    this.#flash.checked = false;
    this.#problem.textContent = "";
    this.#lead.textContent = `Shelve “${words(incident.label)}” at ${place(incident)}: kept and listed, not sounded. Give the reason, then choose how long.`;
    this.element.hidden = false;
    this.#reason.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  hide() {
    this.element.hidden = true;
  }

  /** @param {number} at Which of the times, from 0. */
  choose(at) {
    const incident = this.#incident;
    const time = TIMES[at];
    if (!incident || !time || this.element.hidden) return;
    const reason = this.#reason.value.trim();
    if (!reason) {
      this.#problem.textContent = "Give the reason first: it stands in the journal.";
      this.#reason.focus();
      return;
    }
    this.hide();
    this.onShelve({ node: incident.node.id, camera: incident.camera, label: incident.label, reason, minutes: time[0], covers_flash: this.#flash.checked });
  }
}
