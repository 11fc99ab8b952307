/** One step of the sign-in: its fields, its button, and a refusal in words. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { useDesk } from "./desk_context";

/** One form of the sign-in: a refusal stands above it, in words. */
export function Step({ lead, button, busyWords, send, refusalWords, children, note, initial = "" }: {
  lead: string; button: string; busyWords: string; send: (form: FormData) => Promise<void>; refusalWords: (error: unknown) => string;
  children: JSX.Element | JSX.Element[]; note?: string; initial?: string;
}): JSX.Element {
  const desk = useDesk();
  const form = useRef<HTMLFormElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState(initial);
  useLayoutEffect(() => {
    const fields = [...(form.current?.querySelectorAll("input") ?? [])];
    (fields.find((field) => !field.value) ?? fields[0])?.focus();
  }, []);
  const submit = async () => {
    setBusy(true);
    setRefusal("");
    try {
      await send(new FormData(form.current ?? undefined));
    } catch (error) {
      setRefusal(refusalWords(error));
      form.current?.querySelector<HTMLInputElement>("input[type=password], input[name=code]")?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form id="sign-in-form" class="sign-in-form" ref={form} autocomplete="on" onSubmit={(event) => {
      event.preventDefault();
      void desk.sound.unlock(); // this click is the gesture that browsers ask for before they play a sound
      void submit();
    }}>
      <p class="sign-in-lead">{lead}</p>
      {refusal && <p id="sign-in-error" class="sign-in-error" role="alert">{refusal}</p>}
      {children}
      <button id="sign-in-submit" type="submit" class="button primary wide" disabled={isBusy}>{isBusy ? busyWords : button}</button>
      {note && <p class="hint">{note}</p>}
    </form>
  );
}
