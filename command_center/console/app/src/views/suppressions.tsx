/** False alarms that nodes were told not to tell again: ordered by a supervisor, with a reason and an end, and ended here, too. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { words } from "../model/format";
import type { Incident, Suppression, SuppressionList } from "../wire/shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Choice, Form, toFirstChoice } from "./forms";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Time } from "./time";

const DAY_S = 86_400;
const TIMES: readonly (readonly [seconds: number, name: string])[] = [[DAY_S, "1 day"], [7 * DAY_S, "7 days"], [30 * DAY_S, "30 days"], [90 * DAY_S, "90 days"]];
const LEAST_REASON = 3;

/** On the fleet page: all that is in force. */
export function Suppressions(): JSX.Element | null {
  const desk = useDesk();
  const answer = useAnswer<SuppressionList>("/suppressions", { on: ["incident"] });
  const [notice, setNotice] = useNotice();
  const found = answer.value?.suppressions ?? [];
  const ending = answer.value?.ending ?? [];
  const nodeOf = (one: Suppression) => desk.fleet.nodes.value.find(({ id }) => id === one.node)?.name ?? one.node;
  if (found.length === 0 && ending.length === 0 && !answer.problem) return null;
  return (
    <section aria-labelledby="suppressions-title">
      <h3 id="suppressions-title">False alarms that are not told again{answer.value && ` (${found.length})`}</h3>
      {answer.problem && <p class="notice problem" role="alert">Not known: {answer.problem}</p>}
      <Notice said={notice} />
      <ul class="lines">{found.map((one) => (
        <li key={one.alert_id}>
          <span><strong>{words(one.label)}</strong> at {nodeOf(one)}, {one.camera}, until <Time at={one.until_ms} />: {one.reason} ({one.by}, incident {one.incident}). <Said one={one} name={nodeOf(one)} /></span>
          <End one={one} tell={(text) => {
            setNotice(text);
            answer.again();
          }} />
        </li>
      ))}</ul>
      {ending.length > 0 && <>
        <h4>Ended here, not yet at the node</h4>
        <ul class="lines">{ending.map((one) => <li key={one.alert_id}><span><strong>{words(one.label)}</strong> at {nodeOf(one)}, {one.camera}: ended by {one.by}, <Time at={one.since_ms} />. <Said one={one} name={nodeOf(one)} /></span></li>)}</ul>
      </>}
    </section>
  );
}

/** In the details of an incident that was closed as a false alarm. */
export function Suppressed({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const answer = useAnswer<SuppressionList>("/suppressions", { on: ["incident"] });
  const one = answer.value?.suppressions.find((candidate) => candidate.incident === incident.id);
  const isOpen = desk.form.value === "suppress";
  if (!one && !may(desk, "alarms.suppress")) return null;
  return (
    <div class="suppressed">
      {one
        ? <p>Its node does not tell this again until <Time at={one.until_ms} />: {one.reason} ({one.by}). <Said one={one} name={incident.node.name} /> <End one={one} tell={(text) => {
          desk.acts.tell(incident.id, text);
          answer.again();
        }} /></p>
        : <button type="button" class="button" aria-keyshortcuts="x" aria-expanded={isOpen} onClick={() => desk.toggleForm("suppress")}>Don't tell it again… <kbd>x</kbd></button>}
      {isOpen && !one && <SuppressForm incident={incident} again={answer.again} />}
    </div>
  );
}

/** What the node made of the order: until it has said so, nobody knows that it obeys. */
function Said({ one, name }: { one: Suppression; name: string }): JSX.Element {
  if (one.outcome === "refused") return <span class="step-refused">× {name} refused: {one.outcome_detail || "no reason given"}</span>;
  if (one.outcome === "done") return <span>✓ {name} has done it{one.outcome_detail && `: ${one.outcome_detail}`}.</span>;
  if (one.outcome === "under_way") return <span>◔ {name} has begun{one.outcome_detail && `: ${one.outcome_detail}`}.</span>;
  return <span class="hint">○ {name} has not answered yet.</span>;
}

function SuppressForm({ incident, again }: { incident: Incident; again: () => void }): JSX.Element {
  const desk = useDesk();
  const reason = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => reason.current?.focus(), []);
  const choose = (at: number) => {
    const time = TIMES[at];
    if (!time) return;
    const why = reason.current?.value.trim() ?? "";
    if (why.length < LEAST_REASON) {
      setProblem("Give the reason first: whoever looks at this camera next must know why it is silent here.");
      reason.current?.focus();
      return;
    }
    desk.form.value = null;
    void desk.acts.suppress(incident.id, time[0], why).then((isDone) => {
      if (isDone) desk.acts.tell(incident.id, `${incident.node.name} is told not to tell it again.`);
      again();
    });
  };
  return (
    <Form name="Don't tell it again" lead={`The node keeps what this “${words(incident.label)}” looked like, and does not tell the same thing again at the same place. Give the reason, then choose how long.`} choose={choose}>
      <label for="suppress-reason" class="visually-hidden">Reason</label>
      <input ref={reason} id="suppress-reason" type="text" data-first maxLength={200} autocomplete="off" required placeholder="Why it is false, e.g. the poster at the kiosk" onKeyDown={toFirstChoice} />
      <div class="choices">{TIMES.map(([seconds, name], at) => <Choice key={seconds} at={at} name={name} onChoose={() => choose(at)} />)}</div>
      <p class="form-problem" role="alert">{problem}</p>
    </Form>
  );
}

function End({ one, tell }: { one: Suppression; tell: (text: string) => void }): JSX.Element | null {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  if (!may(desk, "alarms.suppress")) return null;
  const what = `${words(one.label)} at ${one.camera}`;
  return <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(async () => tell(await desk.acts.endSuppression(one.alert_id, what)))}>Have it told again<span class="visually-hidden">: {what}</span></button>;
}
