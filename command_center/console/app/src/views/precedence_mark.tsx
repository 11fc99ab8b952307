/** How urgent something is: a word, a shape and a color, so that no color has to be told apart from another. */

import type { JSX } from "preact";

import type { Precedence } from "../wire/shapes";

/** Drawn in a box of 24 by 24. */
const SHAPES: Record<string, string> = {
  FLASH: "M8 2h8l6 6v8l-6 6H8l-6-6V8z",
  IMMEDIATE: "M12 2l10.5 19H1.5z",
  PRIORITY: "M12 1.5L22.5 12 12 22.5 1.5 12z",
  ROUTINE: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  BULK: "M3 9h18v6H3z",
};
const EXCLAMATION = "M10.7 7h2.6l-.5 7h-1.6zM10.8 15.6h2.4v2.4h-2.4z";

export function PrecedenceMark({ precedence }: { precedence: Precedence }): JSX.Element {
  const isUrgent = precedence === "FLASH" || precedence === "IMMEDIATE";
  return (
    <span class="precedence" data-precedence={precedence}>
      <svg viewBox="0 0 24 24" class="shape" aria-hidden="true">
        <path d={SHAPES[precedence] ?? SHAPES.ROUTINE} />
        {isUrgent && <path class="shape-sign" d={EXCLAMATION} />}
      </svg>
      <span class="precedence-word">{precedence}</span>
    </span>
  );
}
