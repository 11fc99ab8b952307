/** The rarer steps of a sign-in: setting up an authenticator app, and choosing another password. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { wordsOf } from "../wire/center";
import type { Enrollment, Session } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { QrCode } from "./qr_code";
import { Step } from "./step";

export function EnrollStep({ onStep }: { onStep: (session: Session) => Promise<void> }): JSX.Element {
  const desk = useDesk();
  const [offered, setOffered] = useState<Enrollment | null>(null);
  const [done, setDone] = useState<{ codes: string[]; session: Session } | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    desk.center.enrollment().then(setOffered).catch((error: unknown) => setProblem(wordsOf(error)));
  }, []);
  if (problem) return <p class="sign-in-error" role="alert">{problem}</p>;
  if (done) {
    return (
      <div class="sign-in-form">
        <p class="sign-in-lead">Recovery codes</p>
        <p>For the day on which the phone is lost. Each is good once; they are shown this once. Write them down.</p>
        <ul class="codes">{done.codes.map((code) => <li key={code}><code>{code}</code></li>)}</ul>
        <button type="button" class="button primary wide" onClick={() => void onStep(done.session)}>I have written them down</button>
      </div>
    );
  }
  if (!offered) return <p class="hint">Asking for a secret…</p>;
  return (
    <Step lead="Set up the second factor" button="Go on" busyWords="Checking…" refusalWords={(error) => `Not accepted. ${wordsOf(error)}`}
      send={async (given) => setDone(await desk.center.confirmEnrollment(String(given.get("code")).trim()))}>
      <p>Scan this with an authenticator app, or type the secret into it. Then enter the code that it shows.</p>
      <QrCode text={offered.uri} label="QR code with the secret for the authenticator app" />
      <p><code class="link">{offered.secret}</code></p>
      <label for="code">Code</label>
      <input id="code" name="code" autocomplete="one-time-code" inputMode="numeric" spellcheck={false} maxLength={64} required />
    </Step>
  );
}

export function NewPasswordStep({ onStep }: { onStep: (session: Session) => Promise<void> }): JSX.Element {
  const desk = useDesk();
  return (
    <Step lead="Choose a new password" button="Go on" busyWords="Changing…" refusalWords={(error) => `Not changed. ${wordsOf(error)}`}
      note="Somebody else knows the present one: that is why."
      send={async (given) => {
        if (given.get("new") !== given.get("again")) throw new Error("The two new ones differ.");
        await onStep(await desk.center.changePassword(String(given.get("current")), String(given.get("new"))));
      }}>
      <label for="current">Present password</label>
      <input id="current" name="current" type="password" autocomplete="current-password" required />
      <label for="new">New password</label>
      <input id="new" name="new" type="password" autocomplete="new-password" required />
      <label for="again">New password again</label>
      <input id="again" name="again" type="password" autocomplete="new-password" required />
    </Step>
  );
}
