// @ts-check
/** Dark unless the person chooses otherwise; the choice stays in this browser. */

import { byId, setText } from "./element.js";

const KEY = "heard.theme";
const THEMES = ["dark", "light", "system"];

export function startTheme() {
  const button = byId("theme");
  let theme = localStorage.getItem(KEY) ?? "dark";
  const show = () => {
    if (!THEMES.includes(theme)) theme = "dark";
    document.documentElement.dataset.theme = theme;
    setText(button, `◐ ${theme}`);
    button.setAttribute("aria-label", `Colors: ${theme}. Change.`);
    button.title = "Colors: dark, light, or as the system";
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(KEY, theme);
    show();
  });
  show();
}
