// @ts-check
/** Every node, its state in words, and what the center has not yet heard. */

import { byId, element, setText } from "./element.js";
import { duration, isKnown, plural, utcTime } from "./format.js";

/** @typedef {import("./types.js").FleetNode} FleetNode */

/** Whoever needs a look comes first. */
const STATES = ["silent", "late", "quarantined", "waiting", "live", "revoked"];
const SIGNS = { live: "●", late: "◐", silent: "○", waiting: "…", quarantined: "⊘", revoked: "×" };
const LATE_AFTER_INTERVALS = 2;
const GAPS_NAMED = 3;

/** @param {FleetNode} node */
function backlog(node) {
  return (node.backlog ?? []).reduce((sum, count) => sum + count, 0);
}

/** @param {[number, number][]} gaps */
function gapWords(gaps) {
  const named = gaps.slice(0, GAPS_NAMED).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return named.join(", ") + (gaps.length > GAPS_NAMED ? ` and ${gaps.length - GAPS_NAMED} more gaps` : "");
}

export class Fleet {
  #strip = byId("fleet-nodes");
  #unheard = byId("unheard");
  #toggle = byId("fleet-toggle");
  #clock;
  /** @type {Map<string, FleetNode>} */
  #nodes = new Map();
  /** The parts of each card that tick. @type {Map<string, {card: HTMLElement, state: HTMLElement, heard: HTMLElement}>} */
  #cards = new Map();
  #isOpen = window.matchMedia("(min-width: 900px)").matches;

  /** @param {import("./server_clock.js").ServerClock} clock */
  constructor(clock) {
    this.#clock = clock;
    /** Whether what is shown is fed by a live stream; without one, no node can be called live. */
    this.isStreamLive = () => true;
    this.#toggle.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      this.refresh();
    });
  }

  /** @param {FleetNode[]} nodes */
  replace(nodes) {
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.refresh();
  }

  /** @param {FleetNode} node */
  take(node) {
    const held = this.#nodes.get(node.id);
    if (held && (held.last_heard_at_ms ?? 0) > (node.last_heard_at_ms ?? 0)) return;
    this.#nodes.set(node.id, node);
    this.refresh();
  }

  /** "3 cameras live, last word 2 s ago." — or what is missing for that to be true. */
  quietWords() {
    const nodes = [...this.#nodes.values()];
    if (nodes.length === 0) return "No node is enrolled yet. The first alert appears here by itself.";
    const seeing = nodes.filter((node) => this.#state(node) === "live").flatMap((node) => node.cameras).filter((camera) => camera.state.toLowerCase() === "seeing").length;
    const ages = nodes.map((node) => this.#age(node)).filter(isKnown);
    const word = ages.length ? `last word ${duration(Math.min(...ages))} ago` : "no word yet";
    const troubled = nodes.filter((node) => ["late", "silent", "quarantined"].includes(this.#state(node)));
    const lead = seeing === 0 ? "No incident, but no camera is live" : troubled.length ? "No incident" : "All quiet";
    return `${lead}. ${plural(seeing, "camera")} live, ${word}.${troubled.length ? ` No good word from ${troubled.map((node) => node.name).join(", ")}.` : ""}`;
  }

  refresh() {
    const nodes = [...this.#nodes.values()].sort((one, other) => STATES.indexOf(this.#state(one)) - STATES.indexOf(this.#state(other)) || one.name.localeCompare(other.name));
    this.#cards.clear();
    this.#strip.replaceChildren(...nodes.map((node) => this.#card(node)));
    this.#strip.hidden = !this.#isOpen;
    this.#toggle.setAttribute("aria-expanded", String(this.#isOpen));
    this.tick();
  }

  tick() {
    const counts = new Map();
    for (const node of this.#nodes.values()) {
      const state = this.#state(node);
      counts.set(state, (counts.get(state) ?? 0) + 1);
      this.#tickCard(node);
    }
    const words = STATES.filter((state) => counts.has(state)).map((state) => `${counts.get(state)} ${state}`).join(", ");
    setText(this.#toggle, `${this.#isOpen ? "▾" : "▸"} Fleet: ${words || "no node yet"}`);
    this.#showUnheard();
  }

  /** The age of a node's last word by the center's clock. @param {FleetNode} node */
  #age(node) {
    return this.#clock.age(node.last_heard_at_ms);
  }

  /** The center's verdict, unless its own age says that the verdict is out of date. @param {FleetNode} node */
  #state(node) {
    const age = this.#age(node);
    if (node.state !== "live" || !this.isStreamLive() || !isKnown(age) || !(node.interval_s > 0)) return node.state;
    return age > LATE_AFTER_INTERVALS * node.interval_s * 1000 + 2000 ? "late" : "live";
  }

  #showUnheard() {
    const words = [...this.#nodes.values()].flatMap((node) => this.#unheardOf(node));
    if (words.length === 0) words.push(this.#nodes.size ? "Nothing missing: every number of every node has arrived." : "");
    const lines = words.filter(Boolean);
    while (this.#unheard.children.length > lines.length) this.#unheard.lastElementChild?.remove();
    lines.forEach((line, at) => setText(this.#unheard.children[at] ?? this.#unheard.appendChild(element("li")), line));
    this.#unheard.classList.toggle("all-heard", lines.length === 1 && lines[0].startsWith("Nothing missing"));
  }

  /** @param {FleetNode} node */
  #unheardOf(node) {
    /** @type {string[]} */
    const words = [];
    const state = this.#state(node);
    if (state === "revoked") return words;
    if (state === "late" || state === "silent") words.push(`${node.name} ${state}: no word for ${duration(this.#age(node))}, expected every ${node.interval_s} s`);
    if (node.missing > 0) words.push(`${node.name}: ${plural(node.missing, "message")} missing (${gapWords(node.gaps ?? [])})`);
    if (backlog(node) > 0) words.push(`${node.name}: ${backlog(node)} waiting to come, oldest ${duration(node.oldest_waiting_s * 1000)}`);
    if (node.forgone > 0) words.push(`${node.name}: ${plural(node.forgone, "message")} given up, will never come`);
    return words;
  }

  /** @param {FleetNode} node */
  #card(node) {
    const troubles = [
      node.reason,
      node.missing > 0 && `${node.missing} missing`,
      backlog(node) > 0 && `${backlog(node)} waiting`,
      node.forgone > 0 && `${node.forgone} given up`,
    ].filter(Boolean).join(" · ");
    const paths = (node.paths ?? []).map((path) => `${path.path} ${path.is_up ? (path.rtt_ms > 0 ? `${Math.round(path.rtt_ms)} ms` : "up") : "down"}`);
    const where = [node.site, node.role, paths.join(", ")].filter(Boolean).join(" · ");
    const state = element("span", { class: "node-state" });
    const heard = element("span", { class: "node-heard", title: `Last heard ${utcTime(node.last_heard_at_ms)}` });
    const card = element("li", { class: "node", "data-node": node.id },
      element("div", { class: "node-head" }, element("span", { class: "node-name" }, node.name), state),
      element("p", { class: "node-where", title: [where, node.model, node.release].filter(Boolean).join(" · ") }, heard, where && ` · ${where}`),
      element("ul", { class: "node-cameras" }, ...(node.cameras ?? []).map((camera) => cameraLine(camera))),
      element("p", { class: "node-troubles" }, troubles));
    this.#cards.set(node.id, { card, state, heard });
    return card;
  }

  /** @param {FleetNode} node */
  #tickCard(node) {
    const ticking = this.#cards.get(node.id);
    if (!ticking) return;
    const state = this.#state(node);
    ticking.card.dataset.state = state;
    setText(ticking.state, this.isStreamLive() ? `${SIGNS[state] ?? "?"} ${state}` : `was ${state}`);
    const age = this.#age(node);
    setText(ticking.heard, age === null ? "never heard" : `${this.isStreamLive() ? "last word" : "last known word"} ${duration(age)} ago`);
  }
}

/** @param {import("./types.js").CameraFacts} camera */
function cameraLine(camera) {
  const state = camera.state.toLowerCase();
  const isSeeing = state === "seeing";
  const rate = isKnown(camera.frames_per_s) ? `${camera.frames_per_s.toFixed(camera.frames_per_s < 10 ? 1 : 0)} fps` : "";
  return element("li", { class: `camera${isSeeing ? "" : " troubled"}`, title: camera.detail || undefined },
    element("span", { class: "camera-name" }, camera.camera),
    element("span", { class: "camera-state" }, isSeeing ? rate : `${state}${camera.detail ? `: ${camera.detail}` : ""}`));
}
