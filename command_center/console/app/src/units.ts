/** The units as the center last told of them. */

import { signal } from "@preact/signals";

import type { Place, Unit } from "./wire/dispatch_shapes";

export class Units {
  #byName = new Map<string, Unit>();
  readonly all = signal<readonly Unit[]>([]);
  readonly places = signal<readonly Place[]>([]);

  replace(units: readonly Unit[]): void {
    this.#byName = new Map(units.map((unit) => [unit.name, unit]));
    this.#sort();
  }

  /** Takes a unit as it is now; an older word changes nothing. */
  take(unit: Unit): void {
    const held = this.#byName.get(unit.name);
    if (held && held.version > unit.version) return;
    this.#byName.set(unit.name, unit);
    this.#sort();
  }

  /** The unit that a person means, however they write its name. */
  called(name: string): Unit | undefined {
    return this.#byName.get(name) ?? this.all.value.find((unit) => unit.name.toLowerCase() === name.toLowerCase());
  }

  #sort(): void {
    this.all.value = [...this.#byName.values()].sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  }
}
