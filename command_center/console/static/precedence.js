// @ts-check
/** How urgent something is: a word, a shape and a color, so that no color has to be told apart from another. */

import { drawing, element } from "./element.js";

/** @typedef {import("./types.js").Precedence} Precedence */

/** @type {readonly Precedence[]} */
export const PRECEDENCES = ["FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE", "BULK"];

/** Drawn in a box of 24 by 24. @type {Record<Precedence, string>} */
const SHAPES = {
  FLASH: "M8 2h8l6 6v8l-6 6H8l-6-6V8z",
  IMMEDIATE: "M12 2l10.5 19H1.5z",
  PRIORITY: "M12 1.5L22.5 12 12 22.5 1.5 12z",
  ROUTINE: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  BULK: "M3 9h18v6H3z",
};

/**
 * 0 is the most urgent; a word that is not known comes last.
 *
 * @param {string} precedence
 */
export function rank(precedence) {
  const at = PRECEDENCES.indexOf(/** @type {Precedence} */ (precedence));
  return at < 0 ? PRECEDENCES.length : at;
}

/**
 * Shape and word.
 *
 * @param {Precedence} precedence
 */
export function precedenceMark(precedence) {
  const known = precedence in SHAPES;
  const shape = drawing("svg", { viewBox: "0 0 24 24", class: "shape", "aria-hidden": "true" }, drawing("path", { d: SHAPES[known ? precedence : "ROUTINE"] }));
  if (precedence === "FLASH" || precedence === "IMMEDIATE") {
    shape.append(drawing("path", { class: "shape-sign", d: "M10.7 7h2.6l-.5 7h-1.6zM10.8 15.6h2.4v2.4h-2.4z" }));
  }
  return element("span", { class: "precedence", "data-precedence": precedence }, shape, element("span", { class: "precedence-word" }, precedence));
}
