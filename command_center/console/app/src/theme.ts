/** Dark unless the person chooses otherwise; the choice stays in this browser. */

import { signal } from "@preact/signals";

const KEY = "heard.theme";
const THEMES = ["dark", "light", "system"];

export const theme = signal("dark");

export function startTheme(): void {
  choose(localStorage.getItem(KEY) ?? "dark");
}

export function nextTheme(): void {
  choose(THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "dark");
  localStorage.setItem(KEY, theme.value);
}

function choose(name: string): void {
  theme.value = THEMES.includes(name) ? name : "dark";
  document.documentElement.dataset.theme = theme.value;
}
