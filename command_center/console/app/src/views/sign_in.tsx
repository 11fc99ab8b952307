/** The sign-in form. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { ApiFailure, wordsOf } from "../wire/center";
import { useDesk } from "./desk_context";

export function SignIn(): JSX.Element {
  const desk = useDesk();
  const name = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");
  const said = refusal || desk.leftBecause.value;
  useLayoutEffect(() => (name.current?.value ? password : name).current?.focus(), []);

  const send = async () => {
    setBusy(true);
    setRefusal("");
    desk.leftBecause.value = "";
    try {
      const session = await desk.center.signIn(name.current?.value.trim() ?? "", password.current?.value ?? "");
      await desk.enter(session);
    } catch (error) {
      setRefusal(refusalWords(error));
      password.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <main id="sign-in" class="sign-in">
      <form id="sign-in-form" class="sign-in-card" autocomplete="on" onSubmit={(event) => {
        event.preventDefault();
        void desk.sound.unlock(); // this click is the gesture that browsers ask for before they play a sound
        void send();
      }}>
        <h1 class="sign-in-title"><img src="./icon.svg" alt="" width="32" height="32" />Heard</h1>
        <p class="sign-in-lead">Command center</p>
        {said && <p id="sign-in-error" class="sign-in-error" role="alert">{said}</p>}
        <label for="username">Username</label>
        <input ref={name} id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
        <label for="password">Password</label>
        <input ref={password} id="password" name="password" type="password" autocomplete="current-password" required />
        <button id="sign-in-submit" type="submit" class="button primary wide" disabled={isBusy}>{isBusy ? "Signing in…" : "Sign in"}</button>
        <p class="hint">Signing in turns on the alarm tones of this browser. Every sign-in is written to the journal.</p>
      </form>
    </main>
  );
}

function refusalWords(error: unknown): string {
  const status = error instanceof ApiFailure ? error.status : -1;
  if (status === 401) return "Username or password is wrong. Check both and try again.";
  if (status === 429) return "Too many tries. Wait a minute, then try again, or ask an administrator.";
  if (status === 0) return "The command center could not be reached. Check the network of this desk and try again.";
  return `Sign-in failed. ${wordsOf(error)}`;
}
