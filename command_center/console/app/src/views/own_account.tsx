/** One's own account: where one is signed in, programs that speak in one's name, and another password. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { browserWords, plural } from "../model/format";
import type { OwnAccountFacts, SessionRow, TokenRow } from "../wire/account_shapes";
import { wordsOf } from "../wire/center";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Notice, useNotice } from "./notice";
import { EnrollStep } from "./sign_in_steps";
import { Age, Time } from "./time";

export function OwnAccount(): JSX.Element | null {
  const desk = useDesk();
  const answer = useAnswer<OwnAccountFacts>("/account");
  const [notice, setNotice] = useNotice();
  const [isEnrolling, setEnrolling] = useState(false);
  const own = answer.value;
  const attempt = async (done: string, act: () => Promise<unknown>) => {
    try {
      await act();
      setNotice(done);
      answer.again();
      return true;
    } catch (error) {
      setNotice(`Not done. ${wordsOf(error)}`);
      return false;
    }
  };
  if (!own) return answer.problem ? <p class="notice problem" role="alert">{answer.problem}</p> : null;
  return (
    <section class="card" aria-label="Your account">
      <h3>{own.username}</h3>
      <Notice said={notice} />
      <p>Second factor: {own.has_second_factor ? `set up, ${plural(own.recovery_codes_left, "recovery code")} left` : own.is_external ? "kept at the identity provider" : "none"}. {!own.has_second_factor && !own.is_external && !isEnrolling && <button type="button" class="button" onClick={() => setEnrolling(true)}>Set one up</button>}</p>
      {isEnrolling && <div class="enrolling"><EnrollStep onStep={async () => {
        setEnrolling(false);
        setNotice("The next sign-in asks for a code.");
        answer.again();
      }} /></div>}
      <h4>Signed in at</h4>
      <ul class="lines">{own.sessions.map((row) => <Place key={row.id} row={row} end={() => void attempt("That place is signed out.", () => desk.center.send("DELETE", `/account/sessions/${encodeURIComponent(row.id)}`))} />)}</ul>
      {own.tokens.some((token) => token.revoked_at_ms === null) && <>
        <h4>Programs</h4>
        <ul class="lines">{own.tokens.filter((token) => token.revoked_at_ms === null).map((token) => <Token key={token.id} token={token} end={() => void attempt("That program is out.", () => desk.center.send("DELETE", `/account/tokens/${encodeURIComponent(token.id)}`))} />)}</ul>
      </>}
      {!own.is_external && <form class="line-form" aria-label="Change your password" onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const given = new FormData(form);
        if (given.get("new") !== given.get("again")) {
          setNotice("Not done. The two new ones differ.");
          return;
        }
        void attempt("Changed. Every other place where you were signed in is signed out.", () => desk.center.changePassword(String(given.get("current")), String(given.get("new")))).then((isDone) => isDone && form.reset());
      }}>
        <label>Present password <input name="current" type="password" autocomplete="current-password" required /></label>
        <label>New password <input name="new" type="password" autocomplete="new-password" required /></label>
        <label>New password, again <input name="again" type="password" autocomplete="new-password" required /></label>
        <button type="submit" class="button">Change</button>
      </form>}
    </section>
  );
}

function Place({ row, end }: { row: SessionRow; end: () => void }): JSX.Element {
  return (
    <li><span title={row.agent}>{row.address}, {browserWords(row.agent)}, since <Time at={row.opened_at_ms} />, used <Age at={row.used_at_ms} /> ago{row.is_this && " (here)"}</span>
      {!row.is_this && <button type="button" class="button quiet" onClick={end}>Sign out there</button>}</li>
  );
}

function Token({ token, end }: { token: TokenRow; end: () => void }): JSX.Element {
  return (
    <li><span>{token.name}: {token.scopes.join(", ")}, until <Time at={token.expires_at_ms} />{token.used_at_ms ? <>, last used <Age at={token.used_at_ms} /> ago from {token.used_from}</> : ", never used"}</span>
      <button type="button" class="button quiet" onClick={end}>Revoke</button></li>
  );
}
