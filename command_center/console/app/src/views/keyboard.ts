/** The whole console by keyboard. Keys mean nothing while somebody types, and a held key acts once. */

import { useEffect } from "preact/hooks";

export interface Shortcut {
  keys: string[];
  shown: string;
  does: string;
  act: () => void;
}

export interface Around {
  isActive: () => boolean;
  onEscape: () => void;
  /** Returns whether the digit was wanted. */
  onDigit: (digit: number) => boolean;
}

export function useKeyboard(shortcuts: readonly Shortcut[], around: Around): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (!around.isActive() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      const isDialogOpen = document.querySelector("dialog[open]") !== null;
      if (event.key === "Escape") {
        if (!isDialogOpen) around.onEscape();
        return;
      }
      const target = event.target instanceof HTMLElement ? event.target : null;
      if (isDialogOpen || target?.closest("input:not([type=checkbox]):not([type=radio]), textarea, select")) return;
      if (/^[1-9]$/.test(event.key) && around.onDigit(Number(event.key))) {
        event.preventDefault();
        return;
      }
      const shortcut = shortcuts.find((candidate) => candidate.keys.includes(event.key));
      // A held key must not acknowledge one incident after the other.
      if (!shortcut || (event.repeat && !event.key.startsWith("Arrow") && !"jk".includes(event.key))) return;
      event.preventDefault();
      shortcut.act();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  });
}
