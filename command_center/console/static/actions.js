// @ts-check
/** What a person does to an incident. Nothing is shown as done before the center has said so. */

import { ApiFailure } from "./api.js";
import { announce } from "./announcer.js";
import { duration, words } from "./format.js";

/** @typedef {import("./types.js").Incident} Incident */

const TRIES = 4;

export class Actions {
  #api;
  #clock;
  /** @type {Set<number>} */
  #busy = new Set();

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./server_clock.js").ServerClock} clock
   */
  constructor(api, clock) {
    this.#api = api;
    this.#clock = clock;
    /** @type {(incident: Incident) => void} */
    this.onIncident = () => {};
    /** @type {(id: number, text: string, tone: "plain"|"problem") => void} */
    this.onNotice = () => {};
  }

  /** @param {Incident} incident */
  acknowledge(incident) {
    if (incident.state !== "unacknowledged") return Promise.resolve();
    return this.#carryOut(incident, "Acknowledging…", "Not acknowledged.", (version) => this.#api.acknowledge(incident.id, version), (now) => now.state === "unacknowledged");
  }

  /**
   * @param {Incident} incident
   * @param {import("./types.js").Disposition} disposition
   * @param {string} note
   */
  close(incident, disposition, note) {
    if (incident.state === "closed") return Promise.resolve();
    return this.#carryOut(incident, "Closing…", "Not closed.", (version) => this.#api.close(incident.id, version, disposition, note), (now) => now.state === incident.state);
  }

  /**
   * @param {Incident} incident
   * @param {number} into
   */
  merge(incident, into) {
    return this.#carryOut(incident, "Merging…", "Not merged.", (version) => this.#api.merge(incident.id, version, into), (now) => now.state !== "closed" && !now.merged_into);
  }

  /**
   * @param {number} id
   * @param {number} version
   */
  async unmerge(id, version) {
    try {
      this.onIncident(await this.#api.unmerge(id, version));
    } catch (error) {
      this.#tell(id, `Not taken out. ${error instanceof Error ? error.message : ""}`, "problem");
    }
  }

  /**
   * Does something about the shelf; a refusal is told in the center's words.
   *
   * @param {number|null} id The incident at hand.
   * @param {() => Promise<unknown>} act
   */
  async shelf(id, act) {
    try {
      await act();
    } catch (error) {
      this.#tell(id ?? 0, `Not done. ${error instanceof Error ? error.message : ""}`, "problem");
    }
  }

  /**
   * Sends with the version held. A refusal may only mean that another alert of the same incident came in meanwhile:
   * then the person's decision still stands, and it goes out again with the version that the center told.
   *
   * @param {Incident} incident
   * @param {string} doing
   * @param {string} failed
   * @param {(version: number) => Promise<Incident>} send
   * @param {(now: Incident) => boolean} stillStands
   */
  async #carryOut(incident, doing, failed, send, stillStands) {
    if (this.#busy.has(incident.id)) return;
    this.#busy.add(incident.id);
    this.onNotice(incident.id, doing, "plain");
    try {
      let { version } = incident;
      for (let tries = 1; ; tries += 1) {
        try {
          this.onIncident(await send(version));
          this.onNotice(incident.id, "", "plain");
          return;
        } catch (error) {
          const now = error instanceof ApiFailure && error.status === 409 ? /** @type {Incident|undefined} */ (error.body?.incident) : undefined;
          if (!now) throw error;
          if (!stillStands(now) || tries >= TRIES) {
            this.onIncident(now);
            this.#tell(incident.id, this.#whoWasFirst(now, failed), "plain");
            return;
          }
          version = now.version;
        }
      }
    } catch (error) {
      this.#tell(incident.id, `${failed} ${error instanceof Error ? error.message : ""} Press the key again.`, "problem");
    } finally {
      this.#busy.delete(incident.id);
    }
  }

  /** @param {Incident} now @param {string} failed */
  #whoWasFirst(now, failed) {
    const age = this.#clock.age(now.acknowledged_at_ms);
    if (now.state === "closed") return `Somebody was first: already closed${now.disposition ? ` as ${words(now.disposition)}` : ""}.`;
    if (now.acknowledged_by) return `${now.acknowledged_by} was first: acknowledged${age === null ? "" : ` ${duration(age)} ago`}.`;
    return `${failed} The incident keeps changing. Press the key again.`;
  }

  /** @param {number} id @param {string} text @param {"plain"|"problem"} tone */
  #tell(id, text, tone) {
    this.onNotice(id, text, tone);
    announce(text, { isUrgent: tone === "problem" });
  }
}
