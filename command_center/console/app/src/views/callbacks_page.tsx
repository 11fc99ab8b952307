/** What was told to units and systems outside, what could not be, and sending it again. For whoever leads or audits. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { plural, words } from "../model/format";
import { goTo } from "../page";
import { announce } from "../sound/announcer";
import type { CallbackDelivery, CallbackReceiver } from "../wire/callback_shapes";
import { wordsOf } from "../wire/center";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Time } from "./time";

const LOOK_EVERY_MS = 5000;
const STATES = [["dead", "Not delivered"], ["pending", "On their way"], ["delivered", "Delivered"]] as const;
type State = (typeof STATES)[number][0];
const NOTHING: Record<State, string> = { dead: "Nothing is undelivered.", pending: "Nothing waits.", delivered: "Nothing has been delivered yet." };

export function CallbacksPage(): JSX.Element {
  const [state, setState] = useState<State>("dead");
  const receivers = useAnswer<CallbackReceiver[]>("/callbacks/receivers", { everyMs: 2 * LOOK_EVERY_MS });
  const deliveries = useAnswer<{ deliveries: CallbackDelivery[] }>(`/callbacks/deliveries?state=${state}`, { everyMs: LOOK_EVERY_MS });
  const [notice, setNotice] = useNotice();
  const rows = deliveries.value?.deliveries;
  const problem = receivers.problem || deliveries.problem;
  return (
    <main id="page" tabIndex={-1} class="page" aria-labelledby="callbacks-title">
      <div class="page-head">
        <h2 id="callbacks-title">Callbacks</h2>
        <div class="segmented" role="group" aria-label="Which callbacks are shown">
          {STATES.map(([name, title]) => <button key={name} type="button" aria-pressed={state === name} onClick={() => setState(name)}>{title}</button>)}
        </div>
        {rows && <p class="hint">{plural(rows.length, "callback")}{rows.length === 200 ? ": the latest" : ""}</p>}
      </div>
      {problem && <p class="notice problem" role="alert">Not known: {problem}</p>}
      <Notice said={notice} />
      {rows?.length === 0 && <p class="empty">{NOTHING[state]}</p>}
      {rows && rows.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Deliveries"><table class="table">
        <thead><tr><th>To</th><th>What</th><th>Incident</th><th>When</th><th>Tries</th><th>Last answer</th><th><span class="visually-hidden">Act</span></th></tr></thead>
        <tbody>{rows.map((row) => <Row key={row.id} row={row} tell={(text) => {
          setNotice(text);
          announce(text);
          deliveries.again();
        }} />)}</tbody>
      </table></div>}
      {receivers.value && <Receivers receivers={receivers.value} />}
    </main>
  );
}

function Row({ row, tell }: { row: CallbackDelivery; tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const resend = async () => {
    try {
      await desk.center.send("POST", `/callbacks/deliveries/${encodeURIComponent(row.id)}/resend`, {});
      tell(`Sent to ${row.receiver} again: it is on its way.`);
    } catch (error) {
      tell(`Not sent. ${wordsOf(error)}`);
    }
  };
  return (
    <tr data-delivery={row.id}>
      <th scope="row">{row.receiver}</th>
      <td data-label="What" title={row.event}>{words(row.event.replaceAll(".", " "))}</td>
      <td data-label="Incident"><button type="button" class="button quiet" onClick={() => {
        desk.select(row.incident);
        goTo("incidents");
      }}><span class="visually-hidden">Incident </span>{row.incident}</button></td>
      <td data-label="When"><Time at={row.created_at_ms} /></td>
      <td data-label="Tries">{row.attempts}{row.state === "pending" && row.next_at_ms > desk.clock.now() && <span class="hint"> next at <Time at={row.next_at_ms} /></span>}</td>
      <td data-label="Last answer" class={row.state === "dead" ? "down" : ""}>{row.last_answer || "–"}</td>
      <td data-label="Act">{row.state === "dead" && may(desk, "callbacks.resend") && <button type="button" class="button" aria-disabled={isBusy} onClick={() => once(resend)}>Send again<span class="visually-hidden"> to {row.receiver}, {words(row.event.replaceAll(".", " "))}</span></button>}</td>
    </tr>
  );
}

function Receivers({ receivers }: { receivers: readonly CallbackReceiver[] }): JSX.Element {
  return (
    <section aria-labelledby="receivers-title">
      <h3 id="receivers-title">Who is told ({receivers.length})</h3>
      {receivers.length === 0
        ? <p class="hint">Nobody outside is told.</p>
        : <div class="table-scroll" tabIndex={0} role="region" aria-label="Receivers"><table class="table">
          <thead><tr><th>Name</th><th>Kind</th><th>Where</th><th>Told of</th><th>State</th></tr></thead>
          <tbody>{receivers.map((one) => (
            <tr key={one.name}>
              <th scope="row">{one.name}</th><td data-label="Kind">{one.kind}</td><td data-label="Where" class="mono">{one.url}</td>
              <td data-label="Told of">{one.only_called ? "what a plan or an assignment calls it for" : one.only_flash ? "FLASH" : "every incident"}</td>
              <td data-label="State" class={one.disabled_why ? "down" : ""}>{one.disabled_why ? `× off: ${one.disabled_why}` : "✓ on"}</td>
            </tr>
          ))}</tbody>
        </table></div>}
      {receivers.some((one) => one.disabled_why) && <p class="hint">Who is off is told nothing more. Sending one of its callbacks again turns it on.</p>}
      <p class="hint">An administrator adds receivers with <code>command-center callback add</code>, and ends one with <code>command-center callback remove</code>.</p>
    </section>
  );
}
