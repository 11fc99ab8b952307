/**
 * Which rows the queue shows, and in which order. Invariant: while a person is at work in it, no row moves. What came
 * meanwhile is counted and waits ("3 new above") until it is asked for or the hand has rested for RESTED_MS.
 */

import type { IncidentBook } from "./incident_book";

const RESTED_MS = 4000;
export const SETTLING_MS = 450; // a click aimed before the rows moved must not hit what moved under it

export class Queue {
  readonly #book: IncidentBook;
  readonly #now: () => number;
  #touchedAt = -Infinity;
  #movedAt = -Infinity;
  #shown = new Set<number>();
  filter = "";
  showsClosed = false;
  /** The ids as they stand on the screen. */
  order: number[] = [];
  selectedId: number | null = null;
  /** What waits to come in; counted while a person is at work. */
  pending = { count: 0, flash: 0 };

  constructor(book: IncidentBook, now: () => number = () => performance.now()) {
    this.#book = book;
    this.#now = now;
  }

  /** Somebody is at work in the queue. */
  touch(): void {
    this.#touchedAt = this.#now();
  }

  /** The hand left. */
  rest(): void {
    this.#touchedAt = -Infinity;
  }

  get isAtWork(): boolean {
    return this.order.length > 0 && this.#now() - this.#touchedAt < RESTED_MS;
  }

  /** Whether rows moved so recently that a click may have been aimed at another one. */
  get hasJustMoved(): boolean {
    return this.#now() - this.#movedAt <= SETTLING_MS;
  }

  /** Takes in what changed: at once if the hands are off, else by counting what waits. */
  refresh(): void {
    if (this.isAtWork) this.#countPending();
    else this.settle();
  }

  /** Brings every row to its place, whoever is at work; the selection stays, or goes to its neighbor. */
  settle(): void {
    const wanted = this.#book.wanted(this.filter, this.showsClosed);
    this.pending = { count: 0, flash: 0 };
    if (wanted.length === this.order.length && wanted.every((id, at) => id === this.order[at])) return;
    const neighborAt = this.selectedId === null ? 0 : Math.max(0, this.order.indexOf(this.selectedId));
    const hadRows = this.order.length > 0;
    this.order = wanted;
    this.#shown = new Set(wanted);
    if (hadRows) this.#movedAt = this.#now();
    if (this.selectedId === null || !this.#shown.has(this.selectedId)) {
      this.selectedId = wanted[Math.min(neighborAt, wanted.length - 1)] ?? null;
    }
  }

  /** The id so many steps further down from the selected one; stays at the ends. */
  stepFrom(steps: number): number | null {
    if (this.order.length === 0) return null;
    const at = this.selectedId === null ? -1 : this.order.indexOf(this.selectedId);
    const next = at < 0 ? (steps > 0 ? 0 : this.order.length - 1) : Math.min(Math.max(at + steps, 0), this.order.length - 1);
    return this.order[next] ?? null;
  }

  #countPending(): void {
    let [count, flash] = [0, 0];
    for (const id of this.#book.wanted(this.filter, this.showsClosed)) {
      if (this.#shown.has(id)) continue;
      count += 1;
      if (this.#book.get(id)?.precedence === "FLASH") flash += 1;
    }
    this.pending = { count, flash };
  }
}

/** Which rows to draw of so many: those in sight and a few around them. */
export function inSight(count: number, scrollTop: number, heightPx: number, rowPx: number, around = 6): [first: number, end: number] {
  if (rowPx <= 0) return [0, Math.min(count, 2 * around)];
  const first = Math.max(0, Math.floor(scrollTop / rowPx) - around);
  const end = Math.min(count, Math.ceil((scrollTop + heightPx) / rowPx) + around);
  return [Math.min(first, end), end];
}
