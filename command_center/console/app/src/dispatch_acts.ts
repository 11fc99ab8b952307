/** What a person does with units and notes. Nothing is shown as done before the center has said so. */

import type { Desk } from "./desk";
import { words } from "./model/format";
import { ApiFailure, wordsOf } from "./wire/center";
import type { Assigned, Note, Unit } from "./wire/dispatch_shapes";

export interface Said {
  text: string;
  isDone: boolean;
}

export class DispatchActs {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  /** One step on the status board, for the version that the person saw. */
  async setStatus(unit: Unit, status: string, note = ""): Promise<Said> {
    return this.#about(unit.name, `${unit.name} is ${words(status)}.`, async () => {
      this.#desk.units.take(await this.#desk.center.send<Unit>("POST", `/units/${encodeURIComponent(unit.name)}/status`, { version: unit.version, status, note }));
    });
  }

  /** The unit was heard on the radio: its welfare timer begins anew. */
  async heard(unit: Unit): Promise<Said> {
    return this.#about(unit.name, `${unit.name} was heard.`, async () => {
      this.#desk.units.take(await this.#desk.center.send<Unit>("POST", `/units/${encodeURIComponent(unit.name)}/heard`, { note: "" }));
    });
  }

  /** Sends a unit to an incident: compare-and-set on both. A new alert of the incident meanwhile does not undo the decision. */
  async assign(incidentId: number, name: string, version?: number): Promise<Said> {
    const unit = this.#desk.units.called(name);
    if (!unit) return { text: `There is no unit ${name} on the board.`, isDone: false };
    return this.#about(unit.name, `${unit.name} is sent.`, async () => {
      for (let tries = 1; ; tries += 1) {
        const incident = this.#desk.book.get(incidentId);
        if (!incident) throw new Error("The incident is no longer in the queue.");
        try {
          const body = { version: incident.version, unit: unit.name, unit_version: version ?? unit.version, note: "" };
          this.#took(await this.#desk.center.send<Assigned>("POST", `/incidents/${incidentId}/units`, body));
          return;
        } catch (error) {
          const now = this.#conflict(error);
          const isOnlyTheIncident = now?.incident && now.unit && now.unit.version === (version ?? unit.version) && now.incident.state === incident.state;
          if (!isOnlyTheIncident || tries >= 4) throw error;
        }
      }
    });
  }

  async release(incidentId: number, unit: Unit): Promise<Said> {
    return this.#about(unit.name, `${unit.name} is taken off.`, async () => {
      this.#took(await this.#desk.center.send<Assigned>("POST", `/incidents/${incidentId}/units/${encodeURIComponent(unit.name)}/release`, { unit_version: unit.version, reason: "" }));
    });
  }

  async note(incidentId: number, text: string): Promise<Said> {
    try {
      // The key makes a second submit of the same press the same note.
      await this.#desk.center.send<{ notes: Note[] }>("POST", `/incidents/${incidentId}/notes`, { text, key: randomKey() });
      this.#desk.askDetail();
      return { text: "Written down.", isDone: true };
    } catch (error) {
      return { text: `Not written down. ${wordsOf(error)}`, isDone: false };
    }
  }

  #took({ incident, unit }: Assigned): void {
    this.#desk.units.take(unit);
    this.#desk.takeIncident(incident);
  }

  /** A refusal shows how it is now, and says who was first. */
  #conflict(error: unknown): { incident: Assigned["incident"] | null; unit: Unit | null } | null {
    if (!(error instanceof ApiFailure) || error.status !== 409) return null;
    const now = error.body as { incident?: Assigned["incident"]; unit?: Unit } | null;
    if (now?.unit) this.#desk.units.take(now.unit);
    if (now?.incident) this.#desk.takeIncident(now.incident);
    return { incident: now?.incident ?? null, unit: now?.unit ?? null };
  }

  async #about(name: string, done: string, act: () => Promise<void>): Promise<Said> {
    try {
      await act();
      return { text: done, isDone: true };
    } catch (error) {
      const now = this.#conflict(error);
      if (now?.unit) return { text: `Somebody was first: ${name} is ${words(now.unit.status)}${now.unit.incident ? ` at incident ${now.unit.incident}` : ""} now. Look, then press again.`, isDone: false };
      return { text: `Not done. ${wordsOf(error)}`, isDone: false };
    }
  }
}

/** Not `randomUUID`: that exists only where the page came over TLS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
