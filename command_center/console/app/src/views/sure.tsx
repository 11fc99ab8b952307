/** A button that asks once more before it does what can't be taken back: what ends by it stands beside the second press. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface SureProps {
  name: string;
  /** The same with whom or what it is about, for who doesn't see where the button stands. */
  label: string;
  /** What ends by it. */
  warning: string;
  /** What is pressed then. */
  yes: string;
  class: string;
  isBusy: boolean;
  act: () => void;
}

export function Sure({ name, label, warning, yes, class: look, isBusy, act }: SureProps): JSX.Element {
  const [isAsking, setAsking] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const leave = useRef<HTMLButtonElement>(null);
  const wasAsking = useRef(false);
  useLayoutEffect(() => {
    if (isAsking) leave.current?.focus(); // the one that does nothing: a key that is still held presses it
    else if (wasAsking.current) opener.current?.focus();
    wasAsking.current = isAsking;
    if (!isAsking) return undefined;
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setAsking(false);
    };
    document.addEventListener("keydown", escape, { capture: true }); // wherever a second click put the focus
    return () => document.removeEventListener("keydown", escape, { capture: true });
  }, [isAsking]);
  if (!isAsking) return <button ref={opener} type="button" class={look} aria-disabled={isBusy} aria-label={label} onClick={() => setAsking(true)}>{name}</button>;
  return (
    <span class="sure" role="group" aria-label={label}>
      <span class="sure-warning">{warning}</span>
      <button type="button" class="button" aria-disabled={isBusy} onClick={() => {
        setAsking(false);
        act();
      }}>{yes}</button>
      <button ref={leave} type="button" class="button quiet" onClick={() => setAsking(false)}>Leave it</button>
    </span>
  );
}
