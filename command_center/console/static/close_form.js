// @ts-check
/** How an incident ended: the dispositions, one key each, and a note. Those with a number are APCO's common codes. */

import { element } from "./element.js";

/** @typedef {import("./types.js").Disposition} Disposition */

/** @type {readonly [Disposition, string, string][]} */
const DISPOSITIONS = [
  ["handled", "Handled", "it was real and somebody dealt with it"],
  ["false_alarm", "False alarm", "APCO 17: nothing of the kind was there"],
  ["gone_on_arrival", "Gone on arrival", "APCO 14: nobody was there any more"],
  ["building_secure", "Building secure", "APCO 20: looked at, nothing found"],
  ["duplicate", "Duplicate", "APCO 22: another incident covers it"],
  ["cancelled", "Cancelled", "APCO 32: before anybody arrived"],
  ["test", "Test", "raised on purpose"],
];

export class CloseForm {
  #note = element("input", { type: "text", id: "close-note", maxlength: "500", autocomplete: "off", placeholder: "Note for the journal (optional)" });
  /** @type {HTMLButtonElement[]} */
  #choices = [];
  #id = 0;
  /** @type {Element|null} */
  #cameFrom = null;

  constructor() {
    /** @type {(id: number, disposition: Disposition, note: string) => void} */
    this.onClose = () => {};
    this.#choices = DISPOSITIONS.map(([disposition, name, meaning], at) => {
      const choice = element("button", { type: "button", class: "choice", "data-disposition": disposition },
        element("kbd", {}, String(at + 1)), element("span", { class: "choice-name" }, name), element("span", { class: "choice-meaning" }, meaning));
      choice.addEventListener("click", () => this.choose(at));
      return choice;
    });
    this.element = element("div", { class: "close-form", role: "group", "aria-label": "Close with disposition" },
      element("p", { class: "close-lead" }, "Close as… press 1 to 7, Esc to leave it open"),
      element("div", { class: "choices" }, ...this.#choices),
      element("label", { for: "close-note", class: "visually-hidden" }, "Note for the journal"), this.#note);
    this.element.hidden = true;
    this.#note.addEventListener("keydown", (event) => event.key === "Enter" && this.#choices[0].focus());
  }

  /** @param {number} id */
  show(id) {
    this.#id = id;
    this.#note.value = "";
    this.#cameFrom = document.activeElement;
    this.element.hidden = false;
    this.#choices[0].focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  hide() {
    if (this.element.hidden) return;
    const hadFocus = this.element.contains(document.activeElement);
    this.element.hidden = true;
    if (hadFocus && this.#cameFrom instanceof HTMLElement && this.#cameFrom.isConnected) this.#cameFrom.focus({ preventScroll: true });
  }

  /** @param {number} at Which of the dispositions, from 0. */
  choose(at) {
    const disposition = DISPOSITIONS[at];
    if (!disposition || this.element.hidden) return;
    const note = this.#note.value.trim();
    this.hide();
    this.onClose(this.#id, disposition[0], note);
  }
}
