/** Legal holds: what may not go, whether the nodes know, and who decided. Supervisors and administrators place and lift; auditors look. */

import type { JSX } from "preact";

import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";
import type { Hold } from "../wire/custody_shapes";
import type { Incident } from "../wire/shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Time } from "./time";

type Holds = { holds: Hold[] };

/** The audit page's list of all. */
export function HoldsPane(): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<Holds>("/holds", { on: ["incident"] });
  const [notice, setNotice] = useNotice();
  const found = answer.value?.holds ?? [];
  return (
    <>
      <Notice said={notice} />
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {may(desk, "evidence.hold") && <PlaceForm tell={setNotice} set={answer.set} />}
      {answer.value && found.length === 0 && <p class="empty">Nothing is on hold: pictures and clips go when their retention ends.</p>}
      {found.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Legal holds"><table class="table">
        <thead><tr><th>Incident</th><th>Since</th><th>By</th><th>Why</th><th>Clips at nodes</th>{may(desk, "evidence.hold") && <th>Lift</th>}</tr></thead>
        <tbody>{found.map((hold) => (
          <tr key={hold.incident}>
            <th scope="row">{hold.number}</th><td data-label="Since"><Time at={hold.at_ms} /></td><td data-label="By">{hold.by}</td><td data-label="Why" class="pre">{hold.reason}</td><td data-label="Clips at nodes">{clipWords(hold)}</td>
            {may(desk, "evidence.hold") && <td data-label="Lift"><Lift hold={hold} tell={setNotice} set={answer.set} /></td>}
          </tr>
        ))}</tbody>
      </table></div>}
    </>
  );
}

/** In an incident's details. */
export function HoldLine({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const mayLook = may(desk, "evidence.export");
  const answer = useAnswer<Holds>(mayLook ? "/holds" : null, { on: ["incident"] });
  const [notice, setNotice] = useNotice();
  const hold = answer.value?.holds.find((one) => one.incident === incident.id);
  if (!mayLook || (!hold && !may(desk, "evidence.hold"))) return null;
  return (
    <details class="aside hold">
      <summary>{hold ? `On legal hold, by ${hold.by}` : "Legal hold"}</summary>
      <Notice said={notice} />
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {hold
        ? <><p>Since <Time at={hold.at_ms} />: {hold.reason}. {clipWords(hold)}.</p>{may(desk, "evidence.hold") && <Lift hold={hold} tell={setNotice} set={answer.set} />}</>
        : <PlaceForm incident={incident.id} tell={setNotice} set={answer.set} />}
    </details>
  );
}

function clipWords({ told, gone, waiting }: Hold): string {
  const parts = [told > 0 && `${told} kept`, gone > 0 && `${gone} gone before`, waiting > 0 && `${waiting} not answered yet`].filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : "no clip to keep";
}

function PlaceForm({ incident, tell, set }: { incident?: number; tell: (text: string) => void; set: (holds: Holds) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const place = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const id = incident ?? Number(/(\d+)\s*$/.exec(String(given.get("incident")))?.[1]); // INC-2026-000007 or 7
    try {
      set(await desk.center.send<Holds>("POST", "/holds", { incident: id, reason: String(given.get("reason")).trim() }));
      form.reset();
      said(tell, "On hold: nothing of it goes, and its nodes are told.");
    } catch (error) {
      said(tell, `Not held. ${wordsOf(error)}`, true);
    }
  };
  return (
    <form class="line-form" aria-label="Place a hold" onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      once(() => place(form));
    }}>
      {incident === undefined && <label>Incident <input name="incident" required pattern=".*\d\s*" maxLength={20} placeholder="INC-2026-000007" autocomplete="off" /></label>}
      <label>Reason <input name="reason" required maxLength={500} placeholder="Case number, who asked" autocomplete="off" /></label>
      <button type="submit" class="button" aria-disabled={isBusy}>Place a hold</button>
    </form>
  );
}

function Lift({ hold, tell, set }: { hold: Hold; tell: (text: string) => void; set: (holds: Holds) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const lift = async (form: HTMLFormElement) => {
    const reason = String(new FormData(form).get("reason")).trim();
    try {
      set(await desk.center.send<Holds>("DELETE", `/holds/${hold.incident}?reason=${encodeURIComponent(reason)}`));
      said(tell, `${hold.number} is on hold no more.`);
    } catch (error) {
      said(tell, `Not lifted. ${wordsOf(error)}`, true);
    }
  };
  return (
    <form class="line-form lift" aria-label={`Lift the hold on ${hold.number}`} onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      once(() => lift(form));
    }}>
      <input name="reason" required maxLength={500} aria-label={`Why ${hold.number} may go`} placeholder="Who decided it" autocomplete="off" />
      <button type="submit" class="button quiet" aria-disabled={isBusy}>Lift<span class="visually-hidden"> the hold on {hold.number}</span></button>
    </form>
  );
}

function said(tell: (text: string) => void, text: string, isUrgent = false): void {
  tell(text);
  announce(text, { isUrgent });
}
