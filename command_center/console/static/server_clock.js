// @ts-check
/**
 * What time the command center has. The computer at the desk may be wrong by hours; ages must not be.
 *
 * A time stamped by the center cannot lie in the center's future, so each one is a lower bound for its clock at the
 * moment it arrived here. The largest bound of the last five minutes is the estimate: late by at most the network's
 * best delay, never early.
 */

import { isKnown } from "./format.js";

const WINDOW_MS = 5 * 60_000;

export class ServerClock {
  /** @type {{at: number, offset: number}[]} */
  #bounds = [];

  /**
   * Takes note of a time that the center has just told.
   *
   * @param {number|null|undefined} serverMs
   */
  heard(serverMs) {
    if (!isKnown(serverMs)) return;
    const at = performance.now();
    this.#bounds = this.#bounds.filter((bound) => at - bound.at < WINDOW_MS);
    const offset = serverMs - at;
    if (this.#bounds.some((bound) => bound.offset >= offset && at - bound.at < WINDOW_MS / 2)) return;
    this.#bounds.push({ at, offset });
  }

  /** Milliseconds since 1970 by the center's clock; by this computer's until the center has spoken. */
  now() {
    if (this.#bounds.length === 0) return Date.now();
    return Math.max(...this.#bounds.map((bound) => bound.offset)) + performance.now();
  }

  /**
   * How long ago a time of the center's was; never negative, `null` if the time is not known.
   *
   * @param {number|null|undefined} serverMs
   */
  age(serverMs) {
    return isKnown(serverMs) ? Math.max(0, this.now() - serverMs) : null;
  }
}
