// @ts-check
/** The clips of an incident, played where they stand; what has not arrived yet says so. */

import { element } from "./element.js";
import { localTime } from "./format.js";

/** @typedef {import("./types.js").ClipFacts} ClipFacts */

export class Clips {
  #shown = "";

  constructor() {
    this.element = element("section", { class: "clips", "aria-label": "Clips" });
    this.element.hidden = true;
  }

  /**
   * Builds anew only when the clips changed: a playing one goes on.
   *
   * @param {ClipFacts[]} clips
   */
  show(clips) {
    const shown = clips.map((clip) => `${clip.sha256} ${clip.url ?? ""}`).join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.hidden = clips.length === 0;
    this.element.replaceChildren(element("h3", {}, clips.length === 1 ? "Clip" : "Clips"), ...clips.map((clip) => this.#clip(clip)));
  }

  /** @param {ClipFacts} clip */
  #clip(clip) {
    const facts = `from ${localTime(clip.begins_at_ms)} by the node's clock, ${(clip.size_bytes / 1e6).toFixed(1)} MB`;
    if (!clip.url) return element("p", { class: "hint" }, `Not here yet: ${facts}. Alerts go first; it follows.`);
    const player = element("video", { controls: true, preload: "metadata", src: clip.url, class: "clip", "aria-label": `Clip ${facts}` });
    const problem = element("p", { class: "form-problem", role: "alert" });
    player.addEventListener("error", () => { problem.textContent = "This browser can't play the clip. The file is intact: download it below."; });
    return element("figure", {}, player, problem, element("figcaption", {}, facts, " · ", element("a", { href: clip.url, download: `${clip.sha256.slice(0, 16)}.mp4` }, "Download")));
  }
}
