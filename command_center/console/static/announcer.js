// @ts-check
/** Speaks to screen readers: what is urgent interrupts, the rest waits its turn. */

import { byId } from "./element.js";

const polite = byId("announce-polite");
const assertive = byId("announce-assertive");

/**
 * @param {string} text
 * @param {{isUrgent?: boolean}} [how]
 */
export function announce(text, { isUrgent = false } = {}) {
  const region = isUrgent ? assertive : polite;
  // The same words twice are news again only if the region was empty in between.
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}
