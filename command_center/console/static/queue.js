// @ts-check
/**
 * The live queue. Invariant: while a person is at work in it, no row moves. What came meanwhile is announced and waits
 * above ("3 new above") until the pill is pressed or the hand has rested for RESTED_MS.
 */

import { byId, element, setText } from "./element.js";
import { plural } from "./format.js";
import { IncidentRow } from "./incident_row.js";
import { queueOrder } from "./incidents.js";

/** @typedef {import("./types.js").Incident} Incident */

const RESTED_MS = 4000;
const SETTLING_MS = 450; // a click aimed before the rows moved must not hit what moved under it

export class Queue {
  #list = byId("queue");
  #scroller = byId("queue-scroll");
  #pill = byId("new-above");
  #pillWords = element("span");
  #empty = byId("queue-empty");
  #clock;
  #incidents;
  /** @type {Map<number, IncidentRow>} */
  #rows = new Map();
  /** @type {number[]} */
  #order = [];
  #filter = "";
  #showsClosed = false;
  #touchedAt = -Infinity;
  #movedAt = -Infinity;
  /** @type {number|null} */
  selectedId = null;

  /**
   * @param {import("./incidents.js").Incidents} incidents
   * @param {import("./server_clock.js").ServerClock} clock
   */
  constructor(incidents, clock) {
    this.#incidents = incidents;
    this.#clock = clock;
    /** @type {(id: number|null) => void} */
    this.onSelect = () => {};
    /** @type {(id: number) => void} */
    this.onAcknowledge = () => {};
    /** What to say when nothing is in the queue. */
    this.quietWords = () => "All quiet.";
    this.#pill.append(this.#pillWords, element("kbd", {}, "n"));
    this.#pill.addEventListener("click", () => this.settle());
    for (const name of ["pointermove", "pointerdown", "wheel", "keydown", "touchmove"]) {
      this.#scroller.addEventListener(name, () => this.#touch(), { passive: true });
    }
    this.#scroller.addEventListener("pointerleave", () => this.#rest());
  }

  /** @param {string} text */
  filter(text) {
    this.#filter = text.trim().toLowerCase();
    this.settle();
  }

  /** @param {boolean} showsClosed */
  showClosed(showsClosed) {
    this.#showsClosed = showsClosed;
    this.settle();
  }

  /** Shows what the incidents are now; moves rows only if nobody is at work in the queue. */
  refresh() {
    for (const id of this.#order) {
      const incident = this.#incidents.get(id);
      const row = this.#rows.get(id);
      if (incident && row && row.incident !== incident) row.update(incident);
    }
    if (this.#isAtWork()) this.#showPill();
    else this.settle();
  }

  /** Brings every row to its place, whoever is at work. */
  settle() {
    const wanted = this.#wanted();
    const had = this.#order;
    const isSame = wanted.length === had.length && wanted.every((id, at) => id === had[at]);
    if (!isSame) this.#place(wanted);
    this.#pill.hidden = true;
    this.#empty.hidden = wanted.length > 0;
    if (wanted.length === 0) setText(this.#empty, this.#emptyWords());
  }

  /** Lets ages tick, and settles when the hand has rested. */
  tick() {
    for (const row of this.#rows.values()) row.tick();
    if (!this.#isAtWork()) this.settle();
  }

  /**
   * @param {number|null} id
   * @param {{focus?: boolean}} [how]
   */
  select(id, { focus = false } = {}) {
    if (this.selectedId !== id) {
      this.#rows.get(this.selectedId ?? -1)?.select(false);
      this.selectedId = id;
      this.onSelect(id);
    }
    const row = this.#rows.get(id ?? -1);
    row?.select(true);
    if (row && focus) {
      row.open.focus({ preventScroll: true });
      row.element.scrollIntoView({ block: "nearest" });
    }
  }

  /**
   * Selects the row so many steps further down; stays at the ends.
   *
   * @param {number} steps
   */
  move(steps) {
    this.#touch();
    if (this.#order.length === 0) return;
    const at = this.#order.indexOf(this.selectedId ?? -1);
    const next = at < 0 ? (steps > 0 ? 0 : this.#order.length - 1) : Math.min(Math.max(at + steps, 0), this.#order.length - 1);
    this.select(this.#order[next], { focus: true });
  }

  /** Brings in what is new and goes to the first that nobody has acknowledged. */
  goToNewest() {
    this.settle();
    if (this.#order.length > 0) this.select(this.#order[0], { focus: true });
    this.#scroller.scrollTop = 0;
  }

  /** Shows the first unacknowledged incident, unless the selected one is itself waiting for a person. */
  followNewest() {
    const first = this.#incidents.get(this.#order[0] ?? null);
    if (first?.state === "unacknowledged" && this.#incidents.get(this.selectedId)?.state !== "unacknowledged") this.select(first.id);
  }

  /**
   * @param {number} id
   * @param {string} text
   */
  notice(id, text) {
    this.#rows.get(id)?.notice(text);
  }

  /** @param {number[]} wanted */
  #place(wanted) {
    const anchorId = this.selectedId !== null && wanted.includes(this.selectedId) ? this.selectedId : null;
    const before = this.#scroller.scrollTop > 0 ? this.#top(anchorId) : null;
    const focused = document.activeElement;
    const heldFocus = this.#list.contains(focused);
    const neighborAt = this.#order.indexOf(this.selectedId ?? -1);
    for (const [id, row] of this.#rows) {
      if (wanted.includes(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    wanted.forEach((id, at) => {
      const row = this.#rows.get(id) ?? this.#add(id);
      if (this.#list.children[at] !== row.element) this.#list.insertBefore(row.element, this.#list.children[at] ?? null);
    });
    const had = this.#order.length;
    this.#order = wanted;
    // The browser drops the focus of a row that it moves.
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    const after = this.#top(anchorId);
    if (before !== null && after !== null) this.#scroller.scrollTop += after - before;
    if (had > 0) this.#movedAt = performance.now();
    const isGone = heldFocus && !focused?.isConnected;
    this.select(anchorId ?? wanted[Math.min(Math.max(neighborAt, 0), wanted.length - 1)] ?? null, { focus: isGone });
  }

  /** @param {number} id */
  #add(id) {
    const row = new IncidentRow(/** @type {Incident} */ (this.#incidents.get(id)), this.#clock);
    const unlessMoved = (/** @type {() => void} */ act) => () => {
      if (performance.now() - this.#movedAt > SETTLING_MS) act();
      else row.notice("The queue just moved. Press again.");
    };
    row.open.addEventListener("click", unlessMoved(() => {
      this.select(id);
      this.onOpen(id);
    }));
    row.acknowledge.addEventListener("click", unlessMoved(() => this.onAcknowledge(id)));
    row.select(id === this.selectedId);
    this.#rows.set(id, row);
    return row;
  }

  /** Called when a row is clicked: on a narrow screen the details open. @param {number} _id */
  onOpen(_id) {}

  #wanted() {
    return this.#incidents.all()
      .filter((incident) => (this.#showsClosed || incident.state !== "closed") && this.#matches(incident))
      .sort(queueOrder).map((incident) => incident.id);
  }

  /** @param {Incident} incident */
  #matches(incident) {
    const text = [incident.number, incident.label, incident.camera, incident.zone, incident.node.name, incident.node.site,
      incident.precedence, incident.state, incident.acknowledged_by].join(" ").toLowerCase();
    return this.#filter.split(/\s+/).every((word) => text.includes(word));
  }

  #showPill() {
    const waiting = this.#wanted().filter((id) => !this.#rows.has(id));
    const flashes = waiting.filter((id) => this.#incidents.get(id)?.precedence === "FLASH").length;
    this.#pill.hidden = waiting.length === 0;
    this.#pill.classList.toggle("has-flash", flashes > 0);
    setText(this.#pillWords, `${waiting.length} new above${flashes ? `, ${flashes} FLASH` : ""}`);
    this.#empty.hidden = this.#order.length > 0;
  }

  #emptyWords() {
    if (this.#filter) return `Nothing matches “${this.#filter}”. ${plural(this.#incidents.all().length, "incident")} without the filter. Esc clears it.`;
    return this.quietWords();
  }

  /** @param {number|null} id */
  #top(id) {
    const row = this.#rows.get(id ?? -1);
    return row ? row.element.getBoundingClientRect().top : null;
  }

  #touch() {
    this.#touchedAt = performance.now();
  }

  #rest() {
    if (!this.#list.contains(document.activeElement)) this.#touchedAt = -Infinity;
  }

  #isAtWork() {
    return this.#order.length > 0 && performance.now() - this.#touchedAt < RESTED_MS;
  }
}
