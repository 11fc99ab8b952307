/** How urgent something is. */

import type { Precedence } from "../wire/shapes";

export const PRECEDENCES: readonly Precedence[] = ["FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE", "BULK"];

/** 0 is the most urgent; a word that is not known comes last. */
export function rank(precedence: string): number {
  const at = PRECEDENCES.indexOf(precedence as Precedence);
  return at < 0 ? PRECEDENCES.length : at;
}
