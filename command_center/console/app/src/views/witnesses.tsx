/** Witnesses: who keeps our journal's checkpoints outside, how old their last word is, and whose we keep. */

import type { JSX } from "preact";

import { duration } from "../model/format";
import type { WitnessedLog, WitnessWord } from "../wire/custody_shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Age, Time } from "./time";

const LOOK_EVERY_MS = 10_000;
/** So many times without a word where one was due: something is wrong. */
const MISSED = 3;

export function Witnesses(): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  const { value, problem } = useAnswer<{ every_s: number; ours: WitnessWord[]; theirs: WitnessedLog[] }>("/witness", { everyMs: LOOK_EVERY_MS });
  return (
    <>
      {problem && <p class="notice problem" role="alert">{problem}</p>}
      <section class="card" aria-label="Who keeps ours">
        <h3>Who keeps our checkpoints</h3>
        {value?.ours.length === 0 && <p class="hint">Nobody outside yet: whoever holds this machine could rewrite its journal unseen. The auditor's guide says how to name a witness.</p>}
        {value && value.ours.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Our witnesses"><table class="table">
          <thead><tr><th>Witness</th><th>State</th><th>Entries</th><th>Last word</th></tr></thead>
          <tbody>{value.ours.map((one) => (
            <tr key={one.target}>
              <th scope="row" class="mono">{one.target}</th>
              <td data-label="State">{state(one, desk.clock.now(), value.every_s)}{one.problem && <p class="node-troubles">{one.problem}</p>}</td>
              <td data-label="Entries">{one.size}</td>
              <td data-label="Last word">{one.at_ms > 0 ? <><Age at={one.at_ms} /> ago, <Time at={one.at_ms} /></> : "never"}</td>
            </tr>
          ))}</tbody>
        </table></div>}
      </section>
      <section class="card" aria-label="Whose we keep">
        <h3>Whose checkpoints we keep</h3>
        {value?.theirs.length === 0 && <p class="hint">Nobody's yet.</p>}
        {value && value.theirs.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Witnessed here"><table class="table">
          <thead><tr><th>Center</th><th>Entries</th><th>Signed here</th></tr></thead>
          <tbody>{value.theirs.map((one) => <tr key={one.origin}><th scope="row" class="mono">{one.origin}</th><td data-label="Entries">{one.size}</td><td data-label="Signed here"><Age at={one.at_ms} /> ago, <Time at={one.at_ms} /></td></tr>)}</tbody>
        </table></div>}
      </section>
    </>
  );
}

function state(one: WitnessWord, now: number, everyS: number): string {
  if (one.problem) return "× not taken";
  if (now - one.at_ms > MISSED * everyS * 1000) return `▽ no word for ${duration(now - one.at_ms)}`;
  return one.cosignature ? "✓ kept and signed" : "✓ kept";
}
