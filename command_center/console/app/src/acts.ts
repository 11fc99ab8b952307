/** What a person does to an incident. Nothing is shown as done before the center has said so. */

import type { Desk } from "./desk";
import { localTime, words } from "./model/format";
import { permits } from "./model/permissions";
import { announce } from "./sound/announcer";
import { ApiFailure, wordsOf } from "./wire/center";
import type { Disposition, Incident, Shelving } from "./wire/shapes";

const TRIES = 4;

export class Acts {
  readonly #desk: Desk;
  #busy = new Set<number>();

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  async acknowledge(id: number | null): Promise<void> {
    const incident = this.#desk.book.get(id);
    if (incident?.state !== "unacknowledged") return;
    await this.carryOut(incident, "Acknowledging…", "Not acknowledged.", (version) => this.#desk.center.acknowledge(incident.id, version), (now) => now.state === "unacknowledged");
  }

  async close(id: number | null, disposition: Disposition, note: string): Promise<void> {
    await this.acknowledge(id); // whoever says what it was has seen it, and the center wants that said first
    const incident = this.#desk.book.get(id);
    if (incident?.state !== "acknowledged") return;
    await this.carryOut(incident, "Closing…", "Not closed.", (version) => this.#desk.center.close(incident.id, version, disposition, note), (now) => now.state === incident.state);
  }

  async merge(id: number, into: number): Promise<void> {
    const incident = this.#desk.book.get(id);
    if (!incident) return;
    await this.carryOut(incident, "Merging…", "Not merged.", (version) => this.#desk.center.merge(id, version, into), (now) => now.state !== "closed" && !now.merged_into);
    this.#desk.select(into);
  }

  async unmerge(id: number): Promise<void> {
    try {
      const part = await this.#desk.center.incident(id);
      this.#desk.takeIncident(await this.#desk.center.unmerge(id, part.version));
    } catch (error) {
      this.tell(this.#desk.queue.selectedId ?? id, `Not taken out. ${wordsOf(error)}`, "problem");
    }
  }

  shelve(shelving: Shelving): Promise<boolean> {
    return this.attempt(() => this.#desk.center.shelve(shelving));
  }

  endShelf(id: number): Promise<boolean> {
    return this.attempt(() => this.#desk.center.endShelf(id));
  }

  agreeToShelf(id: number): Promise<boolean> {
    return this.attempt(() => this.#desk.center.agreeToShelf(id));
  }

  /** Tells the node of a false alarm not to tell it again. */
  suppress(incidentId: number, seconds: number, reason: string): Promise<boolean> {
    return this.attempt(() => this.#desk.center.send("POST", "/suppressions", { incident: incidentId, for_s: seconds, reason }));
  }

  /** @param what Which it is, in words. @returns How it went, in words. */
  async endSuppression(alertId: string, what: string): Promise<string> {
    try {
      await this.#desk.center.send("DELETE", `/suppressions/${alertId}`);
      return `${what} is told again.`;
    } catch (error) {
      return `Not done. ${wordsOf(error)}`;
    }
  }

  /** Does something that needs no version; a refusal is told in the center's words, at the selected incident. */
  async attempt(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.tell(this.#desk.queue.selectedId ?? 0, `Not done. ${wordsOf(error)}`, "problem");
      return false;
    }
  }

  /**
   * Sends with the version held. A refusal may only mean that another alert of the same incident came in meanwhile:
   * then the person's decision still stands, and it goes out again with the version that the center told.
   */
  async carryOut(
    incident: Incident, doing: string, failed: string, send: (version: number) => Promise<Incident>, stillStands: (now: Incident) => boolean,
  ): Promise<void> {
    if (this.#busy.has(incident.id)) return;
    if (!permits(this.#desk.session.value, "incidents.act")) {
      this.tell(incident.id, `A ${this.#desk.session.value?.role ?? "stranger"} may look, not act.`);
      return;
    }
    this.#busy.add(incident.id);
    this.#desk.notify(incident.id, doing);
    try {
      let { version } = incident;
      for (let tries = 1; ; tries += 1) {
        try {
          this.#desk.takeIncident(await send(version));
          this.#desk.notify(incident.id, "");
          return;
        } catch (error) {
          const now = error instanceof ApiFailure ? error.conflict : undefined;
          if (!now) throw error;
          if (!stillStands(now) || tries >= TRIES) {
            this.#desk.takeIncident(now);
            this.tell(incident.id, this.#whoWasFirst(now, failed));
            return;
          }
          version = now.version;
        }
      }
    } catch (error) {
      this.tell(incident.id, `${failed} ${wordsOf(error)} Press the key again.`, "problem");
    } finally {
      this.#busy.delete(incident.id);
    }
  }

  tell(id: number, text: string, tone: "plain" | "problem" = "plain"): void {
    this.#desk.notify(id, text, tone);
    announce(text, { isUrgent: tone === "problem" });
  }

  #whoWasFirst(now: Incident, failed: string): string {
    if (now.state === "closed") return `Somebody was first: already closed${now.disposition ? ` as ${words(now.disposition)}` : ""}.`;
    if (now.acknowledged_by) return `${now.acknowledged_by} was first: acknowledged${now.acknowledged_at_ms === null ? "" : ` at ${localTime(now.acknowledged_at_ms, this.#desk.today.value)}`}.`;
    return `${failed} The incident keeps changing. Press the key again.`;
  }
}
