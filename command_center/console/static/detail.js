// @ts-check
/** The pane of the selected incident: picture, facts, who owns the delay, timeline, and what can be done. */

import { Clips } from "./clips.js";
import { CloseForm } from "./close_form.js";
import { byId, element, setText } from "./element.js";
import { duration, isKnown, percent, place, plural, timeElement, words } from "./format.js";
import { hopBar } from "./hop_bar.js";
import { warnings } from "./incident_row.js";
import { MergeForm } from "./merge_form.js";
import { Picture } from "./picture.js";
import { precedenceMark } from "./precedence.js";
import { ShelveForm } from "./shelve_form.js";

/** @typedef {import("./types.js").Incident} Incident */

export class Detail {
  #pane = byId("detail");
  #clock;
  /** @type {Incident|null} */
  #incident = null;
  #picture = new Picture("large");
  #back = element("button", { type: "button", class: "button quiet back" }, "‹ Queue");
  #mark = element("span", {});
  #title = element("h2", { class: "detail-title" });
  #place = element("p", { class: "detail-place" });
  #number = element("span", { class: "detail-number" });
  #state = element("p", { class: "detail-state" });
  #notice = element("p", { class: "notice", role: "status" });
  #acknowledge = element("button", { type: "button", class: "button primary", "aria-keyshortcuts": "a" }, "Acknowledge ", element("kbd", {}, "a"));
  #closing = element("button", { type: "button", class: "button", "aria-keyshortcuts": "c" }, "Close… ", element("kbd", {}, "c"));
  #merging = element("button", { type: "button", class: "button quiet", "aria-keyshortcuts": "g" }, "Merge… ", element("kbd", {}, "g"));
  #shelving = element("button", { type: "button", class: "button quiet", "aria-keyshortcuts": "s" }, "Shelve… ", element("kbd", {}, "s"));
  #returned = element("p", { class: "returned", role: "status" });
  #parts = element("div", { class: "parts" });
  #clips = new Clips();
  #facts = element("dl", { class: "facts" });
  #hops = element("div", {});
  #timeline = element("ol", { class: "timeline" });
  #content;
  #nothing = element("p", { class: "empty" });

  /** @param {import("./server_clock.js").ServerClock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.closeForm = new CloseForm();
    this.mergeForm = new MergeForm(clock);
    this.shelveForm = new ShelveForm();
    /** @type {() => Incident[]} */
    this.others = () => [];
    /** @type {(id: number) => void} */
    this.onUnmerge = () => {};
    /** @type {(id: number) => void} */
    this.onAcknowledge = () => {};
    this.onBack = () => {};
    this.#acknowledge.addEventListener("click", () => this.#incident && this.onAcknowledge(this.#incident.id));
    this.#closing.addEventListener("click", () => this.toggleCloseForm());
    this.#back.addEventListener("click", () => this.onBack());
    this.#merging.addEventListener("click", () => this.toggleMergeForm());
    this.#shelving.addEventListener("click", () => this.toggleShelveForm());
    this.#content = element("div", { class: "detail-content" },
      element("header", { class: "detail-head" }, this.#back, this.#mark, this.#title, this.#number),
      this.#place,
      element("div", { class: "actions" }, this.#state, element("div", { class: "buttons" }, this.#acknowledge, this.#closing, this.#merging, this.#shelving)),
      this.#returned,
      this.closeForm.element, this.mergeForm.element, this.shelveForm.element, this.#notice, this.#parts, this.#picture.element, this.#clips.element,
      element("div", { class: "detail-columns" },
        element("section", {}, element("h3", {}, "Facts"), this.#facts),
        element("section", {}, element("h3", {}, "Who owns the delay?"), this.#hops)),
      element("section", {}, element("h3", {}, "Timeline"), this.#timeline));
    this.#pane.append(this.#content, this.#nothing);
    this.show(null);
  }

  get isClosing() {
    return this.#forms.some((form) => !form.element.hidden);
  }

  get #forms() {
    return [this.closeForm, this.mergeForm, this.shelveForm];
  }

  hideForms() {
    for (const form of this.#forms) form.hide();
  }

  /** @param {number} at Which of the open form's choices, from 0. */
  choose(at) {
    for (const form of this.#forms) if (!form.element.hidden) form.choose(at);
  }

  /** @param {Incident|null|undefined} incident */
  show(incident) {
    const isOther = incident?.id !== this.#incident?.id;
    this.#incident = incident ?? null;
    this.#content.hidden = !incident;
    this.#nothing.hidden = !!incident;
    if (isOther) {
      this.hideForms();
      this.notice("");
      this.#pane.scrollTop = 0;
    }
    if (!incident) {
      setText(this.#nothing, "Nothing selected. An incident's picture, facts and timeline stand here.");
      return;
    }
    this.#pane.dataset.precedence = incident.precedence;
    this.#pane.dataset.state = incident.state;
    this.#mark.replaceChildren(precedenceMark(incident.precedence));
    setText(this.#number, incident.number);
    setText(this.#title, words(incident.label));
    setText(this.#place, place(incident));
    this.#picture.show(incident);
    this.#acknowledge.hidden = incident.state !== "unacknowledged";
    this.#closing.hidden = incident.state === "closed";
    this.#merging.hidden = this.#shelving.hidden = incident.state === "closed";
    if (incident.state === "closed") this.hideForms();
    setText(this.#returned, incident.returned && incident.state !== "closed" ? "Taken back: the camera's node has retracted every alert of this incident. Look before you send anybody." : "");
    this.#showParts(incident);
    this.#clips.show(incident.clips ?? []);
    this.#showFacts(incident);
    this.#showTimeline(incident);
    this.#showHops(incident);
    this.tick();
  }

  tick() {
    const incident = this.#incident;
    if (!incident) return;
    const waitingMs = this.#clock.age(incident.first_alert_at_ms);
    setText(this.#state, this.#stateWords(incident, waitingMs));
    if (incident.state === "unacknowledged") this.#showHops(incident);
  }

  /** @param {Incident} incident */
  #showHops(incident) {
    this.#hops.replaceChildren(hopBar(incident, incident.state === "unacknowledged" ? this.#clock.age(incident.first_alert_at_ms) : null));
  }

  /** @param {string} text @param {"plain"|"problem"} [tone] */
  notice(text, tone = "plain") {
    setText(this.#notice, text);
    this.#notice.classList.toggle("problem", tone === "problem");
  }

  toggleCloseForm() {
    const incident = this.#toggled(this.closeForm);
    if (incident) this.closeForm.show(incident.id);
  }

  toggleMergeForm() {
    const incident = this.#toggled(this.mergeForm);
    if (incident) this.mergeForm.show(incident, this.others());
  }

  toggleShelveForm() {
    const incident = this.#toggled(this.shelveForm);
    if (incident) this.shelveForm.show(incident);
  }

  /**
   * Closes every form; gives the incident if the form is to be opened now.
   *
   * @param {{element: HTMLElement}} form
   */
  #toggled(form) {
    const wasOpen = !form.element.hidden;
    this.hideForms();
    return wasOpen || !this.#incident || this.#incident.state === "closed" ? null : this.#incident;
  }

  /** @param {Incident} incident */
  #showParts(incident) {
    const parts = incident.parts ?? [];
    this.#parts.hidden = parts.length === 0;
    this.#parts.replaceChildren(...parts.map((part) => {
      const take = element("button", { type: "button", class: "button quiet" }, `Take incident ${part} out`);
      take.addEventListener("click", () => this.onUnmerge(part));
      return take;
    }));
  }

  /** @param {Incident} incident @param {number|null} waitingMs */
  #stateWords(incident, waitingMs) {
    if (incident.state === "unacknowledged") return `Unacknowledged for ${duration(waitingMs)}`;
    const by = incident.acknowledged_by ? `Acknowledged by ${incident.acknowledged_by}, ${duration(this.#clock.age(incident.acknowledged_at_ms))} ago` : "Never acknowledged";
    if (incident.state === "acknowledged") return by;
    return `Closed${incident.disposition ? ` as ${words(incident.disposition)}` : ""}${incident.closed_by ? ` by ${incident.closed_by}` : ""}. ${by}.`;
  }

  /** @param {Incident} incident */
  #showFacts(incident) {
    const quality = words(incident.clock_quality);
    /** @type {[string, (Node|string)[]][]} */
    const facts = [
      ["Confidence", [percent(incident.confidence)]],
      ["Rule", [words(incident.rule) || "unknown"]],
      ["Node", [`${incident.node.name}${incident.node.site ? `, ${incident.node.site}` : ""}`]],
      ["Alerts", [plural(incident.alert_count, "alert")]],
      ["First heard", [timeElement(incident.first_alert_at_ms)]],
      ["Last heard", [timeElement(incident.last_alert_at_ms)]],
      ["Sighted", quality === "unset" || !isKnown(incident.sighted_at_ms) ? ["node's clock was never set"] : [timeElement(incident.sighted_at_ms), ` by the node's clock (${quality})`]],
    ];
    if (incident.note) facts.push(["Note", [incident.note]]);
    this.#facts.replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, ...value)]));
    for (const [tag, meaning] of warnings(incident)) this.#facts.append(element("dt", { class: "warning" }, tag), element("dd", { class: "warning" }, meaning));
  }

  /** @param {Incident} incident */
  #showTimeline(incident) {
    const entries = [...(incident.timeline ?? [])].sort((one, other) => other.at_ms - one.at_ms);
    this.#timeline.replaceChildren(...(entries.length ? entries.map((entry) => element("li", {},
      timeElement(entry.at_ms, "timeline-at"),
      element("span", { class: "timeline-what" }, words(entry.what)),
      element("span", { class: "timeline-who", title: entry.who }, actor(entry.who, incident)),
      element("span", { class: "timeline-detail" }, entry.detail || ""))) : [element("li", { class: "hint" }, "Asking for the timeline…")]));
  }
}

/**
 * Who did it, in a person's words: the incident's own node by its name.
 *
 * @param {string|null|undefined} who
 * @param {Incident} incident
 */
function actor(who, incident) {
  const name = who ?? "";
  return name.endsWith(incident.node.id) ? incident.node.name : name.replace(/^[a-z]+:/, "");
}
