// @ts-check
/** A snapshot with the box of what was seen drawn over it. */

import { drawing, element } from "./element.js";

/** @typedef {import("./types.js").Incident} Incident */

/**
 * Four fractions of the frame that enclose something; all zero means that there is no box.
 *
 * @param {number[]|null|undefined} box
 */
function isBox(box) {
  return Array.isArray(box) && box.length === 4 && box.every(Number.isFinite) && box[2] > box[0] && box[3] > box[1];
}

export class Picture {
  #shown = "";
  #frame = element("span", { class: "picture-frame" });
  #words = element("span", { class: "picture-words" });

  /** @param {string} className */
  constructor(className) {
    this.element = element("span", { class: `picture ${className}` }, this.#frame, this.#words);
  }

  /**
   * Shows an incident's snapshot; does nothing while it stays the same, so the picture never flickers.
   *
   * @param {Incident} incident
   */
  show(incident) {
    const wanted = JSON.stringify([incident.snapshot_url, incident.box_xyxy]);
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    this.#frame.replaceChildren();
    if (!incident.snapshot_url) {
      this.#words.textContent = "No picture yet";
      return;
    }
    this.#words.textContent = "Loading picture";
    const image = element("img", { alt: `Snapshot: ${incident.label} at ${incident.camera}`, decoding: "async", src: incident.snapshot_url });
    image.addEventListener("load", () => {
      if (this.#shown !== wanted) return;
      this.#words.textContent = "";
      this.#frame.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
      this.element.classList.toggle("tall", image.naturalHeight * 16 > image.naturalWidth * 9 * 1.02);
    });
    image.addEventListener("error", () => {
      if (this.#shown !== wanted) return;
      this.#frame.replaceChildren();
      this.#words.textContent = "Picture not available";
    });
    this.#frame.append(image);
    if (isBox(incident.box_xyxy)) this.#frame.append(boxOver(incident.box_xyxy));
  }
}

/** @param {number[]} box */
function boxOver([left, top, right, bottom]) {
  const edges = { x: left * 100, y: top * 100, width: (right - left) * 100, height: (bottom - top) * 100 };
  return drawing("svg", { class: "picture-box", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("rect", { ...edges, class: "picture-box-under", "vector-effect": "non-scaling-stroke" }),
    drawing("rect", { ...edges, class: "picture-box-over", "vector-effect": "non-scaling-stroke" }));
}
