/** Which page is shown; it stands in the address, so that a reload and the back button do what people expect. */

import { signal } from "@preact/signals";

import { PAGES, type PageName } from "./model/command";

function asked(): PageName {
  const name = location.hash.replace(/^#\/?/, "");
  return PAGES.find((page) => page === name) ?? "incidents";
}

export const page = signal<PageName>(asked());

window.addEventListener("hashchange", () => {
  page.value = asked();
});

export function goTo(name: PageName): void {
  location.hash = name === "incidents" ? "" : `#/${name}`;
  page.value = name;
}
