// @ts-check
/** What is silent now, always in sight above the queue: until when, why, and by whom. */

import { byId, element } from "./element.js";
import { duration, words } from "./format.js";

/** @typedef {import("./types.js").Shelf} Shelf */

export class Shelves {
  #list = byId("shelves");
  #clock;
  /** @type {Shelf[]} */
  #shelves = [];
  /** @type {import("./types.js").Session|null} */
  session = null;

  /** @param {import("./server_clock.js").ServerClock} clock */
  constructor(clock) {
    this.#clock = clock;
    /** @type {(id: number) => void} */
    this.onEnd = () => {};
    /** @type {(id: number) => void} */
    this.onAgree = () => {};
  }

  /** @param {Shelf[]} shelves */
  replace(shelves) {
    this.#shelves = shelves;
    this.#show();
  }

  /** Lets the times tick, without taking a button from under the hand. */
  tick() {
    for (const [at, item] of [...this.#list.children].entries()) {
      const shelf = this.#shelves[at];
      const left = item.querySelector(".shelf-left");
      if (shelf && left) left.textContent = this.#left(shelf);
    }
  }

  /** @param {Shelf} shelf */
  #left(shelf) {
    return `${duration(Math.max(0, shelf.until_ms - this.#clock.now()))} left`;
  }

  #show() {
    this.#list.hidden = this.#shelves.length === 0;
    this.#list.replaceChildren(...this.#shelves.map((shelf) => this.#item(shelf)));
  }

  /** @param {Shelf} shelf */
  #item(shelf) {
    const end = element("button", { type: "button", class: "button quiet" }, "Take off");
    end.addEventListener("click", () => this.onEnd(shelf.id));
    const mayAgree = shelf.covers_flash && !shelf.agreed_by && shelf.by !== this.session?.username && ["supervisor", "administrator"].includes(this.session?.role ?? "");
    const agree = mayAgree && element("button", { type: "button", class: "button" }, "Agree: FLASH, too");
    if (agree) agree.addEventListener("click", () => this.onAgree(shelf.id));
    const flash = !shelf.covers_flash ? "FLASH still sounds" : shelf.agreed_by ? `FLASH too, agreed by ${shelf.agreed_by}` : "FLASH waits for a second person";
    return element("li", { class: "shelf" },
      element("strong", {}, "Shelved: "), `${shelf.label ? words(shelf.label) : "everything"} at ${shelf.node.name}, ${shelf.camera}. `,
      element("span", {}, `${shelf.reason} (${shelf.by}). `), element("span", { class: "shelf-flash" }, `${flash}. `),
      element("span", { class: "shelf-left" }, this.#left(shelf)), agree, end);
  }
}
