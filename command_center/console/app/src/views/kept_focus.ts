/** The focus stays where the person works: what had it often goes with the act itself, such as the button that was pressed. */

/** From the inside out: a row, a named part, the page. Never a control: a key that is still held would press it. */
const PLACES = "li, tr, form, section, main, [role=region], [role=group]";
/** What a row is about: by it the row is found again where it was drawn anew in another list. */
const SUBJECTS = ["data-unit", "data-node", "data-delivery"];

/** Watches the whole page, for as long as it is open. */
export function keepFocus(page: Document): void {
  let held: Element | null = null;
  let around: HTMLElement[] = [];
  page.addEventListener("focusin", ({ target }) => {
    held = target instanceof Element ? target : null;
    around = placesAround(held);
  });
  page.addEventListener("focusout", ({ target }) => {
    // By then what was taken from the page is no part of it; what still is was left by the person.
    queueMicrotask(() => {
      if (held === target && held?.isConnected && page.activeElement !== held) held = null;
    });
  });
  new MutationObserver(() => {
    if (held === null || held.isConnected || page.activeElement !== page.body) return;
    held = null;
    for (const one of around) {
      const place = one.isConnected ? one : sameElsewhere(one);
      if (place) return focusOn(place);
    }
  }).observe(page.body, { childList: true, subtree: true });
}

function placesAround(inside: Element | null): HTMLElement[] {
  const places: HTMLElement[] = [];
  for (let at = inside?.parentElement ?? null; at !== null; at = at.parentElement) if (at.matches(PLACES)) places.push(at);
  return places;
}

/** A unit that is under way now stands among those at work: its old row is gone, and it is the same unit. */
function sameElsewhere(gone: HTMLElement): HTMLElement | null {
  const page = document.getElementById("page");
  for (const name of SUBJECTS) {
    const subject = gone.getAttribute(name);
    if (subject !== null) return page?.querySelector<HTMLElement>(`${gone.localName}[${name}="${CSS.escape(subject)}"]`) ?? null;
  }
  return null;
}

function focusOn(place: HTMLElement): void {
  if (!place.hasAttribute("tabindex")) {
    place.tabIndex = -1;
    place.addEventListener("blur", () => place.removeAttribute("tabindex"), { once: true });
  }
  place.focus({ preventScroll: true });
  if (place.matches(":focus-visible")) place.scrollIntoView({ block: "nearest" }); // a mouse would find something else under it
}
