/** What stands on the map, from what the center knows of places, nodes, incidents and units. Pure. */

import type { Place, Unit } from "../wire/dispatch_shapes";
import type { FleetNode, Incident } from "../wire/shapes";
import { plural, words } from "./format";
import { rank } from "./precedence";

export interface Marked {
  key: string;
  kind: "camera" | "unit";
  name: string;
  lat: number;
  lon: number;
  sign: string;
  /** What to know about it, in words: no color has to be told apart. */
  words: string;
  tone: "plain" | "flash" | "immediate" | "troubled" | "unit";
  /** The most urgent open incident here. */
  incident: number | null;
}

const UNIT_SIGNS: Record<string, string> = { available: "○", assigned: "◔", accepted: "◑", en_route: "▶", on_scene: "●", clear: "◇", out_of_service: "×" };

/** The most exact place that is known: the camera's own, its node's, its site's. */
export function placeOf(places: ReadonlyMap<string, Place>, node: { name: string; site: string }, camera: string): Place | undefined {
  return places.get(`${node.name}/${camera}`) ?? places.get(node.name) ?? places.get(node.site);
}

export function markedPlaces(
  places: readonly Place[], nodes: readonly { node: FleetNode; state: string }[], incidents: readonly Incident[], units: readonly Unit[],
): Marked[] {
  const known = new Map(places.map((place) => [place.name, place]));
  const open = new Map<string, Incident[]>();
  for (const incident of incidents) {
    if (incident.state === "closed") break; // closed ones stand last
    const key = `${incident.node.id}/${incident.camera}`;
    open.set(key, [...(open.get(key) ?? []), incident]);
  }
  const cameras: Marked[] = [];
  for (const { node, state } of nodes) {
    for (const camera of node.cameras ?? []) {
      const place = placeOf(known, node, camera.camera);
      if (place) cameras.push(cameraMark(place, node, camera, state, open.get(`${node.id}/${camera.camera}`) ?? []));
    }
  }
  // A camera that has an incident and is in no heartbeat yet stands on the map, too.
  const told = new Set(nodes.flatMap(({ node }) => (node.cameras ?? []).map((camera) => `${node.id}/${camera.camera}`)));
  for (const [key, here] of open) {
    const place = told.has(key) ? undefined : here[0] && placeOf(known, here[0].node, here[0].camera);
    const found = nodes.find(({ node }) => node.id === here[0]?.node.id);
    if (place && here[0] && found) cameras.push(cameraMark(place, found.node, { camera: here[0].camera, state: "seeing", frames_per_s: 0, detail: "" }, found.state, here));
  }
  const marks = together(cameras);
  for (const unit of units) {
    if (!unit.position) continue;
    marks.push({
      key: `unit ${unit.name}`, kind: "unit", name: unit.name, lat: unit.position.lat, lon: unit.position.lon, sign: UNIT_SIGNS[unit.status] ?? "?",
      words: `${words(unit.status)}${unit.incident ? ` at incident ${unit.incident}` : ""}`, tone: "unit", incident: unit.incident,
    });
  }
  return marks;
}

const TONES: readonly Marked["tone"][] = ["flash", "immediate", "troubled", "plain", "unit"];

/** Cameras that stand at one place are one mark, or nobody could press the ones below. */
function together(cameras: readonly Marked[]): Marked[] {
  const groups = new Map<string, Marked[]>();
  for (const mark of cameras) {
    const key = `${mark.lat} ${mark.lon}`;
    groups.set(key, [...(groups.get(key) ?? []), mark]);
  }
  return [...groups.values()].map((group) => {
    const [worst, ...rest] = group.sort((one, other) => TONES.indexOf(one.tone) - TONES.indexOf(other.tone)) as [Marked, ...Marked[]];
    if (rest.length === 0) return worst;
    return { ...worst, key: `place ${worst.lat} ${worst.lon}`, name: `${worst.name} and ${rest.length} more`, words: [worst.words, ...rest.map((mark) => `${mark.name}: ${mark.words}`)].join("; ") };
  });
}

function cameraMark(place: Place, node: FleetNode, camera: FleetNode["cameras"][number], state: string, incidents: readonly Incident[]): Marked {
  const waiting = incidents.filter((incident) => incident.state === "unacknowledged");
  const worst = [...(waiting.length ? waiting : incidents)].sort((one, other) => rank(one.precedence) - rank(other.precedence))[0];
  const isTroubled = state !== "live" || camera.state.toLowerCase() !== "seeing";
  const said = [
    incidents.length > 0 && `${plural(incidents.length, "open incident")}${waiting.length ? `, ${waiting.length} unacknowledged` : ""}${worst ? `, ${worst.precedence}` : ""}`,
    isTroubled ? (state !== "live" ? `node ${state}` : words(camera.state)) : "seeing",
  ].filter(Boolean).join(", ");
  return {
    key: `camera ${node.id}/${camera.camera}`, kind: "camera", name: `${node.name}/${camera.camera}`, lat: place.lat, lon: place.lon, sign: incidents.length ? "⬢" : "▲",
    words: said, tone: waiting.length ? (worst?.precedence === "FLASH" ? "flash" : "immediate") : isTroubled ? "troubled" : "plain", incident: worst?.id ?? null,
  };
}
