/** The queue's other pages, fetched behind the person's back: never in the way of an event or an act. */

import type { Desk } from "./desk";
import type { IncidentPage } from "./wire/shapes";

const PAGE = 500;
const PAUSE_MS = 30; // lets events and keys in between two pages
const AGAIN_MS = 2000;
const MOST_CLOSED = 2000; // "All" is a look back; older ones are found on the audit page

export async function loadPages(desk: Desk, state: "open" | "all", first: IncidentPage, stopped: AbortSignal): Promise<void> {
  let { next } = first;
  let have = first.incidents.length;
  const total = state === "all" ? Math.min(first.total ?? have, MOST_CLOSED) : (first.total ?? have);
  while (next && have < total && !stopped.aborted) {
    desk.loading.value = { have, total: Math.max(total, have) };
    await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
    const page: IncidentPage | null = await desk.center.incidents(state, PAGE, next).catch(() => null); // a lost center is told by the stream; asked again
    if (stopped.aborted) return;
    if (page === null) {
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
      continue;
    }
    ({ next } = page);
    have += page.incidents.length;
    desk.takePage(page.incidents, first.newest ?? Infinity, next ? { have, total: Math.max(total, have) } : null);
  }
  if (!stopped.aborted) desk.loading.value = null;
}
