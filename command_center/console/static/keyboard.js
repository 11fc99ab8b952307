// @ts-check
/** The whole console by keyboard, and the list of keys. */

import { byId, element } from "./element.js";

/** @typedef {{keys: string[], shown: string, does: string, act: () => void}} Shortcut */

export class Keyboard {
  #shortcuts;
  #dialog = /** @type {HTMLDialogElement} */ (byId("keys"));

  /**
   * @param {Shortcut[]} shortcuts
   * @param {{isActive: () => boolean, onEscape: () => void, onDigit: (digit: number) => boolean}} around
   */
  constructor(shortcuts, around) {
    this.#shortcuts = shortcuts;
    document.addEventListener("keydown", (event) => {
      if (!around.isActive() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (event.key === "Escape") {
        if (!this.#dialog.open) around.onEscape();
        return;
      }
      const target = event.target instanceof HTMLElement ? event.target : null;
      if (this.#dialog.open || target?.closest("input, textarea, select")) return;
      if (/^[1-9]$/.test(event.key) && around.onDigit(Number(event.key))) {
        event.preventDefault();
        return;
      }
      const shortcut = this.#shortcuts.find((candidate) => candidate.keys.includes(event.key));
      // A held key must not acknowledge one incident after the other.
      if (!shortcut || (event.repeat && !event.key.startsWith("Arrow") && !"jk".includes(event.key))) return;
      event.preventDefault();
      shortcut.act();
    });
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#write();
  }

  showHelp() {
    this.#dialog.showModal();
  }

  #write() {
    const done = element("button", { type: "button", class: "button primary" }, "Done");
    done.addEventListener("click", () => this.#dialog.close());
    const rows = [...this.#shortcuts.map(({ shown, does }) => [shown, does]), ["1 … 9", "Choose in the open form"], ["Esc", "Leave the menu, the filter, the details"]];
    this.#dialog.append(element("div", { class: "keys-content" },
      element("h2", { id: "keys-title" }, "Keys"),
      element("dl", {}, ...rows.flatMap(([shown, does]) => [element("dt", {}, ...shown.split(" ").map((key) => (key === "…" ? key : element("kbd", {}, key)))), element("dd", {}, does)])),
      done));
  }
}
