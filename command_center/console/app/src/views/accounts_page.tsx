/** Accounts: who may sign in, as what, and where they are signed in. For administrators; auditors look. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { plural, words } from "../model/format";
import { announce } from "../sound/announcer";
import type { AccountRow } from "../wire/account_shapes";
import { wordsOf } from "../wire/center";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { OwnAccount } from "./own_account";
import { Sure } from "./sure";

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
  const [notice, setNotice] = useNotice();
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
      <Notice said={notice} />
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
        ? <RoleChoice row={row} give={(role) => act("PATCH", path, { role }, () => `${row.name} is ${words(role)} now.`)} />
        : words(row.role)}</td>
      <td data-label="State">{row.is_disabled ? "× ended" : row.must_change ? "must change the password" : "✓ may sign in"}{row.is_external && ", by single sign-on"}</td>
      <td data-label="Second factor">{row.has_second_factor ? "✓ set up" : row.needs_second_factor ? "at the next sign-in" : "none"}</td>
      <td data-label="Signed in">{plural(row.session_count, "place")}</td>
      {may(desk, "accounts.manage") && <td data-label="Change"><span class="unit-steps">{!isMe && <>
        {row.is_disabled
          ? <button type="button" class="button" aria-disabled={isBusy} onClick={() => once(() => act("PATCH", path, { is_disabled: false }, () => `${row.name} may sign in again.`))}>Let in again<span class="visually-hidden"> {row.name}</span></button>
          : <Sure class="button" name="End account" label={`End account ${row.name}`} warning={`${row.name} is signed out everywhere and may not sign in.`} yes="End it" isBusy={isBusy} act={() => once(() => act("PATCH", path, { is_disabled: true }, () => `${row.name} is out, and what was open has ended.`))} />}
        {!row.is_external && <Sure class="button quiet" name="New password" label={`New password for ${row.name}`} warning={`${row.name}'s present password is good no more.`} yes="Make a new one" isBusy={isBusy} act={() => once(() => act("POST", `${path}/password`, {}, (made) => shown(row.name, made)))} />}
        {row.has_second_factor && <Sure class="button quiet" name="Reset second factor" label={`Reset second factor of ${row.name}`} warning={`${row.name}'s phone and recovery codes are good no more.`} yes="Reset it" isBusy={isBusy} act={() => once(() => act("DELETE", `${path}/second-factor`, undefined, () => `${row.name} signs in without the lost phone.`))} />}
        {row.session_count > 0 && <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(() => act("DELETE", `${path}/sessions`, undefined, () => `${row.name} is signed out everywhere.`))}>Sign out everywhere<span class="visually-hidden"> {row.name}</span></button>}
      </>}</span></td>}
    </tr>
  );
}

/** Choosing is not giving: arrow keys pass over every role on the way to the one that is meant. */
function RoleChoice({ row, give }: { row: AccountRow; give: (role: string) => Promise<boolean> }): JSX.Element {
  const [chosen, setChosen] = useState(row.role);
  const [isBusy, once] = useOnce();
  useEffect(() => setChosen(row.role), [row.role]);
  return (
    <span class="role-choice">
      <select aria-label={`Role of ${row.name}`} value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>{ROLES.map((role) => <option key={role} value={role}>{words(role)}</option>)}</select>
      {chosen !== row.role && <button type="button" class="button" aria-disabled={isBusy} onClick={() => once(() => give(chosen))}>Change<span class="visually-hidden"> {row.name} to {words(chosen)}</span></button>}
    </span>
  );
}
