/** Accounts: who may sign in, as what, and where they are signed in. For administrators; auditors look. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { plural, words } from "../model/format";
import { announce } from "../sound/announcer";
import type { AccountRow } from "../wire/account_shapes";
import { wordsOf } from "../wire/center";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { useOnce } from "./once";
import { OwnAccount } from "./own_account";

const ROLES = ["dispatcher", "supervisor", "administrator", "auditor", "field_unit"];

export function AccountsPage(): JSX.Element {
  const desk = useDesk();
  const mayRead = may(desk, "accounts.read");
  return (
    <main id="page" tabIndex={-1} class="page" aria-labelledby="accounts-title">
      <div class="page-head"><h2 id="accounts-title">{mayRead ? "Accounts" : "Your account"}</h2></div>
      <OwnAccount />
      {mayRead && <Everybody />}
    </main>
  );
}

function Everybody(): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<{ accounts: AccountRow[] }>("/accounts");
  const [notice, setNotice] = useState("");
  const [isBusy, once] = useOnce();
  const act = async (method: string, path: string, body: object | undefined, done: (made: { password?: string | null } | null) => string) => {
    try {
      setNotice(done(await desk.center.send<{ password?: string | null } | null>(method, `/accounts${path}`, body)));
      announce("Done.");
      answer.again();
      return true;
    } catch (error) {
      setNotice(`Not done. ${wordsOf(error)}`);
      announce(`Not done. ${wordsOf(error)}`, { isUrgent: true });
      return false;
    }
  };
  const shown = (name: string, made: { password?: string | null } | null) => (made?.password ? `${name}'s password, shown this once: ${made.password} — it must be changed at the first sign-in.` : `${name} is let in.`);
  return (
    <section class="card" aria-label="Everybody">
      <h3>Everybody</h3>
      <p class="notice" role="status">{notice}</p>
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Accounts"><table class="table">
        <thead><tr><th>Name</th><th>Role</th><th>State</th><th>Second factor</th><th>Signed in</th>{may(desk, "accounts.manage") && <th>Change</th>}</tr></thead>
        <tbody>{answer.value?.accounts.map((row) => <Row key={row.name} row={row} act={act} shown={shown} />)}</tbody>
      </table></div>
      {may(desk, "accounts.manage") && <form class="line-form" aria-label="Let somebody in" onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const given = new FormData(form);
        const name = String(given.get("name")).trim();
        once(() => act("POST", "", { name, role: given.get("role"), unit: String(given.get("unit")).trim() }, (made) => shown(name, made)).then((isDone) => isDone && form.reset()));
      }}>
        <label>Name <input name="name" required maxLength={64} autocomplete="off" /></label>
        <label>Role <select name="role">{ROLES.map((role) => <option key={role} value={role}>{words(role)}</option>)}</select></label>
        <label>Unit (field unit) <input name="unit" maxLength={64} autocomplete="off" /></label>
        <button type="submit" class="button primary" aria-disabled={isBusy}>Let in</button>
      </form>}
    </section>
  );
}

type Act = (method: string, path: string, body: object | undefined, done: (made: { password?: string | null } | null) => string) => Promise<boolean>;

function Row({ row, act, shown }: { row: AccountRow; act: Act; shown: (name: string, made: { password?: string | null } | null) => string }): JSX.Element {
  const desk = useDesk();
  const path = `/${encodeURIComponent(row.name)}`;
  const [isBusy, once] = useOnce();
  const isMe = row.name === desk.session.value?.username;
  return (
    <tr>
      <th scope="row">{row.name}{row.unit && <span class="hint"> {row.unit}</span>}</th>
      <td data-label="Role">{may(desk, "accounts.manage") && !isMe
        ? <select aria-label={`Role of ${row.name}`} value={row.role} onChange={(event) => void act("PATCH", path, { role: event.currentTarget.value }, () => `${row.name} has another role now.`)}>{ROLES.map((role) => <option key={role} value={role}>{words(role)}</option>)}</select>
        : words(row.role)}</td>
      <td data-label="State">{row.is_disabled ? "× ended" : row.must_change ? "must change the password" : "✓ may sign in"}{row.is_external && ", by single sign-on"}</td>
      <td data-label="Second factor">{row.has_second_factor ? "✓ set up" : row.needs_second_factor ? "at the next sign-in" : "none"}</td>
      <td data-label="Signed in">{plural(row.session_count, "place")}</td>
      {may(desk, "accounts.manage") && <td data-label="Change"><span class="unit-steps">{!isMe && <>
        <button type="button" class="button" aria-disabled={isBusy} onClick={() => once(() => act("PATCH", path, { is_disabled: !row.is_disabled }, () => `${row.name} ${row.is_disabled ? "may sign in again" : "is out, and what was open has ended"}.`))}>{row.is_disabled ? "Let in again" : "End account"}<span class="visually-hidden"> {row.name}</span></button>
        {!row.is_external && <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(() => act("POST", `${path}/password`, {}, (made) => shown(row.name, made)))}>New password<span class="visually-hidden"> for {row.name}</span></button>}
        {row.has_second_factor && <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(() => act("DELETE", `${path}/second-factor`, undefined, () => `${row.name} signs in without the lost phone.`))}>Reset second factor<span class="visually-hidden"> of {row.name}</span></button>}
        {row.session_count > 0 && <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(() => act("DELETE", `${path}/sessions`, undefined, () => `${row.name} is signed out everywhere.`))}>Sign out everywhere<span class="visually-hidden"> {row.name}</span></button>}
      </>}</span></td>}
    </tr>
  );
}
