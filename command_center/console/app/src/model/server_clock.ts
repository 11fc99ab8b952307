/**
 * What time the command center has. The computer at the desk may be wrong by hours; ages must not be.
 *
 * A time stamped by the center cannot lie in the center's future, so each one is a lower bound for its clock at the
 * moment it arrived here. The largest bound of the last five minutes is the estimate: late by at most the network's
 * best delay, never early.
 */

import { isKnown } from "./format";

const WINDOW_MS = 5 * 60_000;

export class ServerClock {
  #bounds: { at: number; offset: number }[] = [];
  readonly #monotonic: () => number;

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /** Takes note of a time that the center has just told. */
  heard(serverMs: number | null | undefined): void {
    if (!isKnown(serverMs)) return;
    const at = this.#monotonic();
    this.#bounds = this.#bounds.filter((bound) => at - bound.at < WINDOW_MS);
    const offset = serverMs - at;
    if (this.#bounds.some((bound) => bound.offset >= offset && at - bound.at < WINDOW_MS / 2)) return;
    this.#bounds.push({ at, offset });
  }

  /** Milliseconds since 1970 by the center's clock; by this computer's until the center has spoken. */
  now(): number {
    if (this.#bounds.length === 0) return Date.now();
    return Math.max(...this.#bounds.map((bound) => bound.offset)) + this.#monotonic();
  }

  /** How long ago a time of the center's was; never negative, `null` if the time is not known. */
  age(serverMs: number | null | undefined): number | null {
    return isKnown(serverMs) ? Math.max(0, this.now() - serverMs) : null;
  }
}
