/** The strip below the queue: every node, its state in words, and what the center has not yet heard. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";

import { duration, isKnown, plural, utcTime } from "../model/format";
import { pathWords, STATES, stateWords, troublesOf, unheardOf } from "../model/fleet";
import type { CameraFacts, FleetNode } from "../wire/shapes";
import { useDesk } from "./desk_context";

const isOpen = signal(window.matchMedia("(min-width: 900px)").matches);
const MOST_LINES = 30;

export function FleetStrip(): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  void desk.streamState.value;
  const nodes = desk.fleet.nodes.value;
  const counts = STATES.map((state) => [state, nodes.filter((node) => desk.fleet.state(node) === state).length] as const).filter(([, count]) => count > 0);
  const lines = nodes.flatMap((node) => unheardOf(node, desk.fleet.state(node), desk.fleet.age(node)));
  const isAllHeard = lines.length === 0;
  const isLost = desk.streamState.value === "lost";
  const shown = isAllHeard && isLost ? ["Not known while the stream is lost."] : isAllHeard && nodes.length > 0 ? ["Nothing missing: every number of every node has arrived."] : lines.slice(0, MOST_LINES);
  if (lines.length > MOST_LINES) shown.push(`${plural(lines.length - MOST_LINES, "more line")} on the fleet page`);
  return (
    <section class="fleet" aria-labelledby="fleet-title">
      <div class="fleet-head">
        <h2 id="fleet-title">
          <button id="fleet-toggle" type="button" class="button quiet" aria-controls="fleet-nodes" aria-expanded={isOpen.value} onClick={() => { isOpen.value = !isOpen.value; }}>
            {isOpen.value ? "▾" : "▸"} Fleet: {counts.map(([state, count]) => `${count} ${state}`).join(", ") || "no node yet"}
          </button>
        </h2>
        <ul id="unheard" class={`unheard${isAllHeard ? " all-heard" : ""}`} aria-label="What we have not heard yet" tabIndex={0}>{shown.map((line) => <li key={line}>{line}</li>)}</ul>
      </div>
      <ul id="fleet-nodes" class="fleet-nodes" aria-label="Nodes" hidden={!isOpen.value} tabIndex={0}>{isOpen.value && nodes.slice(0, 200).map((node) => <Card key={node.id} node={node} />)}</ul>
    </section>
  );
}

function Card({ node }: { node: FleetNode }): JSX.Element {
  const desk = useDesk();
  void desk.second.value; // the same node is not drawn anew with the strip, and its age goes on
  const state = desk.fleet.state(node);
  const age = desk.fleet.age(node);
  const isLive = desk.streamState.value !== "lost";
  const where = [node.site, node.role, pathWords(node)].filter(Boolean).join(" · ");
  return (
    <li class="node" data-node={node.id} data-state={state}>
      <div class="node-head">
        <span class="node-name">{node.name}</span>
        <span class="node-state">{stateWords(state, isLive)}</span>
      </div>
      <p class="node-where" title={[where, node.model, node.release].filter(Boolean).join(" · ")}>
        <span class="node-heard" title={`Last heard ${utcTime(node.last_heard_at_ms)}`}>{age === null ? "never heard" : `${isLive ? "last word" : "last known word"} ${duration(age)} ago`}</span>
        {where && ` · ${where}`}
      </p>
      <ul class="node-cameras">{(node.cameras ?? []).map((camera) => <CameraLine key={camera.camera} camera={camera} isOld={state === "silent" || !isLive} />)}</ul>
      <p class="node-troubles">{troublesOf(node)}</p>
    </li>
  );
}

/** @param isOld Nobody knows how it is now: what its node said last is no word about the present. */
export function CameraLine({ camera, isOld }: { camera: CameraFacts; isOld: boolean }): JSX.Element {
  const state = camera.state.toLowerCase();
  const isSeeing = state === "seeing";
  const rate = isKnown(camera.frames_per_s) ? `${camera.frames_per_s.toFixed(camera.frames_per_s < 10 ? 1 : 0)} fps` : "";
  return (
    <li class={`camera${isSeeing ? "" : " troubled"}`} title={camera.detail || undefined}>
      <span class="camera-name">{camera.camera}</span>
      <span class="camera-state">{isSeeing ? (isOld ? "was seeing" : rate) : `${isOld ? "was " : ""}${state}${camera.detail ? `: ${camera.detail}` : ""}`}</span>
    </li>
  );
}
