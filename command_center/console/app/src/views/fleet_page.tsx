/** The fleet: health, paths, gaps, models and ownership of every node; what people made of its alarms. */

import type { JSX } from "preact";

import { bytes, duration, percent, plural, words } from "../model/format";
import { backlog, gapWords, refusalWords, roomWords, stateWords } from "../model/fleet";
import type { FleetNode, PathFacts, QualityRow, StandbyState } from "../wire/shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { CameraLine } from "./fleet_strip";
import { may } from "./may";
import { Invite, Standing, Waiting } from "./membership";
import { Suppressions } from "./suppressions";
import { Age, Time } from "./time";

const PATH_QUIET_MS = 60_000;
const PASSPORT_SOON_MS = 30 * 86_400_000;

export function FleetPage(): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  const nodes = desk.fleet.nodes.value;
  return (
    <main id="page" tabIndex={-1} class="page whole" aria-labelledby="fleet-page-title">
      <div class="page-head"><h2 id="fleet-page-title">Fleet</h2><p class="hint">{plural(nodes.length, "node")}; whoever needs a look stands first.</p></div>
      <Standby />
      <Waiting />
      {nodes.length === 0 ? <p class="empty">No node is enrolled yet. {may(desk, "fleet.manage") ? "Invite the first one below." : "An administrator invites the first one here."}</p> : <div class="table-scroll" tabIndex={0} role="region" aria-label="Nodes"><table class="table">
        <thead><tr><th>Node</th><th>State</th><th>Cameras</th><th>Paths</th><th>Not heard yet</th><th>Model, software</th><th>Owner</th></tr></thead>
        <tbody>{nodes.map((node) => <NodeRow key={node.id} node={node} />)}</tbody>
      </table></div>}
      <Suppressions />
      <Quality />
      <Invite />
    </main>
  );
}

/** The second machine: whether a loss of this one would lose anything. Nothing where none is configured. */
function Standby(): JSX.Element | null {
  const { value } = useAnswer<StandbyState>("/nodes/standby", { everyMs: 10_000 });
  if (!value?.address) return null;
  const since = value.since_ms === null ? null : <> since <Time at={value.since_ms} /></>;
  return value.is_in_step
    ? <p id="standby" class="hint">Standby: in step{since}. What is shown here is on a second machine, too.</p>
    : <p id="standby" class="node-troubles">△ Standby: not in step{since}. This center is on its own: tell whoever runs it. Why: {value.why_not}</p>;
}

function NodeRow({ node }: { node: FleetNode }): JSX.Element {
  const desk = useDesk();
  void desk.second.value; // the same node is not drawn anew with the table, and it may fall silent
  const state = desk.fleet.state(node);
  const waiting = backlog(node);
  const isLive = desk.streamState.value !== "lost";
  const isOld = state === "silent" || !isLive;
  const isAllHeard = node.missing === 0 && waiting === 0 && node.forgone === 0;
  return (
    <tr class="node" data-node={node.id} data-state={state}>
      <th scope="row">{node.name}<span class="hint"> {node.role}</span><br /><span class="hint node-id">{node.id}</span></th>
      <td data-label="State"><span class="node-state">{stateWords(state, isLive)}</span><br /><span class="node-heard">{node.last_heard_at_ms === null ? "never heard" : <>{isLive ? "last word" : "last known word"} <Age at={node.last_heard_at_ms} /> ago</>}, expected every {node.interval_s} s</span>
        {node.reason && <p class="node-troubles">{node.reason}</p>}
        <Standing node={node} />
        {roomWords(node) && <p class="node-troubles" data-room={node.room}>{roomWords(node)}</p>}
        {refusalWords(node) && <p class="hint">refused: {refusalWords(node)}</p>}</td>
      <td data-label="Cameras"><ul class="node-cameras">{(node.cameras ?? []).map((camera) => <CameraLine key={camera.camera} camera={camera} isOld={isOld} />)}</ul></td>
      <td data-label="Paths"><ul>{(node.paths ?? []).map((path) => <li key={path.path} class={path.is_up ? "" : "down"}>{isOld ? "△" : path.is_up ? "▲" : "▽"} {path.path}: {isOld ? "was " : ""}{pathQuality(path)}</li>)}</ul></td>
      <td data-label="Not heard yet">{isAllHeard ? "nothing missing" : <ul class="node-troubles">
        {node.missing > 0 && <li>{node.missing} missing ({gapWords(node.gaps ?? [])})</li>}
        {waiting > 0 && <li>{waiting} waiting, oldest {duration(node.oldest_waiting_s * 1000)}</li>}
        {node.forgone > 0 && <li>{node.forgone} given up</li>}
      </ul>}</td>
      <td data-label="Model, software">{node.model || "–"}<br /><span class="hint">{node.release && `Heard ${node.release}`}</span></td>
      <td data-label="Owner">{node.agency || "–"}{node.site && <span class="hint"><br />{node.site}</span>}<PassportEnd untilMs={node.passport_until_ms} /></td>
    </tr>
  );
}

/** How well a path works, as its node last said. */
function pathQuality(path: PathFacts): string {
  const silent = path.heard_age_ms !== undefined && (!path.is_up || path.heard_age_ms > PATH_QUIET_MS) ? `, no word for ${duration(path.heard_age_ms)}` : "";
  const sent = path.bytes_sent ? ` · ${bytes(path.bytes_sent)} sent` : "";
  return `${path.is_up ? (path.rtt_ms > 0 ? `${Math.round(path.rtt_ms)} ms` : "up") : "down"}${silent}${sent}`;
}

/** A passport that ends soon: from then on the node is a stranger. */
function PassportEnd({ untilMs }: { untilMs: number | undefined }): JSX.Element | null {
  const desk = useDesk();
  if (untilMs === undefined || untilMs - desk.clock.now() > PASSPORT_SOON_MS) return null;
  return <p class="node-troubles">passport ends <Time at={untilMs} /></p>;
}

/** Precision by camera and model, as people's dispositions say; the least precise first. */
function Quality(): JSX.Element | null {
  const { value } = useAnswer<{ sources: QualityRow[] }>("/quality");
  if (!value || value.sources.length === 0) return null;
  return (
    <section aria-labelledby="quality-title">
      <h3 id="quality-title">What people made of the alarms</h3>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Alarm quality"><table class="table">
        <thead><tr><th>Source</th><th>Closed incidents</th><th>Real</th><th>Not real</th><th>Precision</th></tr></thead>
        <tbody>{value.sources.map((row) => (
          <tr key={`${row.node.id} ${row.camera} ${row.label} ${row.model_sha256_prefix}`}>
            <th scope="row">{words(row.label)} at {row.node.name}, {row.camera}</th>
            <td data-label="Closed incidents">{row.incidents}</td><td data-label="Real">{row.real}</td><td data-label="Not real">{row.not_real}</td><td data-label="Precision">{row.precision === null ? "not known" : percent(row.precision)}</td>
          </tr>
        ))}</tbody>
      </table></div>
    </section>
  );
}
