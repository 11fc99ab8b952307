/** The sign-in, step by step: password, and where the center asks for it a second factor, its enrollment, a new password. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { ApiFailure, wordsOf } from "../wire/center";
import type { Session } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { EnrollStep, NewPasswordStep } from "./sign_in_steps";
import { Step } from "./step";

export function SignIn(): JSX.Element {
  const desk = useDesk();
  const [session, setSession] = useState<Session | null>(desk.pending);
  const stage = session?.stage ?? "full";
  const onStep = async (next: Session) => {
    if ((next.stage ?? "full") === "full") await desk.enter(next);
    else {
      desk.rememberSignedIn(); // a reload goes on at this step
      setSession(next);
    }
  };
  return (
    <main id="sign-in" class="sign-in">
      <div class="sign-in-card">
        <h1 class="sign-in-title"><img src="./icon.svg" alt="" width="32" height="32" />Heard</h1>
        {(session === null || stage === "full") && <PasswordStep onStep={onStep} />}
        {session !== null && stage === "second_factor" && <CodeStep onStep={onStep} />}
        {session !== null && stage === "enrollment" && <EnrollStep onStep={onStep} />}
        {session !== null && stage === "password" && <NewPasswordStep onStep={onStep} />}
        {session !== null && stage !== "full" && <button type="button" class="button quiet" onClick={() => void desk.signOut().then(() => setSession(null))}>Start over</button>}
      </div>
    </main>
  );
}

function PasswordStep({ onStep }: { onStep: (session: Session) => Promise<void> }): JSX.Element {
  const desk = useDesk();
  const [single, setSingle] = useState<string | null>(null);
  const why = desk.leftBecause.value;
  useEffect(() => {
    void desk.center.get<{ single_sign_on: string | null }>("/session/ways").then((ways) => setSingle(ways.single_sign_on)).catch(() => undefined); // then there is none
  }, []);
  return (
    <>
      <Step key={why} lead="Command center" button="Sign in" busyWords="Signing in…" initial={why} refusalWords={passwordRefusal}
        note="Signing in turns on the alarm tones of this browser. Every sign-in is written to the journal."
        send={async (given) => onStep(await desk.center.signIn(String(given.get("username")).trim(), String(given.get("password"))))}>
        <label for="username">Username</label>
        <input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required />
      </Step>
      {single && <a class="button wide" href="/api/v1/session/oidc" onClick={() => desk.rememberSignedIn()}>{single}</a>}
    </>
  );
}

function CodeStep({ onStep }: { onStep: (session: Session) => Promise<void> }): JSX.Element {
  const desk = useDesk();
  return (
    <Step lead="Second factor" button="Go on" busyWords="Checking…" refusalWords={codeRefusal} note="No phone at hand? One of your recovery codes works, too, once."
      send={async (given) => onStep(await desk.center.secondFactor(String(given.get("code")).trim()))}>
      <label for="code">Code of the authenticator app</label>
      <input id="code" name="code" autocomplete="one-time-code" spellcheck={false} maxLength={64} required />
    </Step>
  );
}

export function codeRefusal(error: unknown): string {
  const status = error instanceof ApiFailure ? error.status : -1;
  if (status === 401) return "This code is wrong or was used before. Wait for the next one and try again.";
  if (status === 429) return "Too many tries. Wait a while, or ask an administrator.";
  return `Not accepted. ${wordsOf(error)}`;
}

function passwordRefusal(error: unknown): string {
  const status = error instanceof ApiFailure ? error.status : -1;
  if (status === 401) return "Username or password is wrong. Check both and try again.";
  if (status === 429) return "Too many tries. Wait a minute, then try again, or ask an administrator.";
  if (status === 0) return "The command center could not be reached. Check the network of this desk and try again.";
  return `Sign-in failed. ${wordsOf(error)}`;
}
