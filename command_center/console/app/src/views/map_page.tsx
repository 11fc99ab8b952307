/** The map page: its program and its map library come only when somebody opens it. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Desk } from "../desk";
import { type Marked, markedPlaces } from "../model/marks";
import { theme } from "../theme";
import { wordsOf } from "../wire/center";
import type { Place } from "../wire/dispatch_shapes";
import { goTo } from "../page";
import type { SiteMap } from "../map/site_map";
import { useDesk } from "./desk_context";
import { mayAct } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";

export interface MapGround {
  base_url: string | null;
  plan: { url: string; south: number; west: number; north: number; east: number } | null;
}

/** Which layers are drawn; an open incident is drawn whatever is left out. */
const layers = signal<ReadonlySet<Marked["kind"]>>(new Set(["camera", "unit"]));
const LAYERS = [["camera", "▲ Cameras"], ["unit", "○ Units"]] as const;

function isDrawn(mark: Marked): boolean {
  return layers.value.has(mark.kind) || (mark.kind === "camera" && mark.incident !== null);
}

function toggleLayer(kind: Marked["kind"]): void {
  const chosen = new Set(layers.value);
  if (!chosen.delete(kind)) chosen.add(kind);
  layers.value = chosen;
}

const prefersLight = window.matchMedia("(prefers-color-scheme: light)");

export function MapPage(): JSX.Element {
  const desk = useDesk();
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<SiteMap | null>(null);
  const [problem, setProblem] = useState("");
  const [isBare, setBare] = useState(false);
  const [picked, setPicked] = useState<{ lat: number; lon: number } | null>(null);
  void desk.revision.value;
  void desk.second.value;
  const marks = markedPlaces(desk.units.places.value, desk.fleet.nodes.value.map((node) => ({ node, state: desk.fleet.state(node) })), desk.book.all(), desk.units.all.value);
  const drawn = marks.filter(isDrawn);
  const isLight = theme.value === "light" || (theme.value === "system" && prefersLight.matches);
  const latest = useRef(drawn);
  latest.current = drawn;

  useEffect(() => {
    let isGone = false;
    const open = async () => {
      const [{ SiteMap: Made }, ground] = await Promise.all([import("../map/site_map"), desk.center.get<MapGround>("/map")]);
      if (isGone || !box.current) return;
      setBare(ground.base_url === null && ground.plan === null);
      const made = await Made.open(box.current, ground, isLight);
      if (isGone) {
        made.close();
        return;
      }
      map.current = made;
      map.current.onPick = (lat, lon) => setPicked({ lat, lon });
      map.current.onMark = (mark) => openMark(desk, mark);
      map.current.show(latest.current);
      map.current.fit();
    };
    open().catch((error: unknown) => setProblem(wordsOf(error)));
    return () => {
      isGone = true;
      map.current?.close();
      map.current = null;
    };
  }, [isLight]); // a vector map is drawn in the theme's colors
  useEffect(() => map.current?.show(drawn));

  return (
    <main id="page" tabIndex={-1} class="page map-page" aria-labelledby="map-title">
      <div class="page-head">
        <h2 id="map-title">Map</h2>
        <div class="segmented" role="group" aria-label="Layers">
          {LAYERS.map(([kind, name]) => <button key={kind} type="button" aria-pressed={layers.value.has(kind)} onClick={() => toggleLayer(kind)}>{name}</button>)}
        </div>
        <ul class="legend" aria-label="Legend"><li>⬢ camera with an open incident: always shown</li><li>dashed: not seeing</li><li>▶ en route</li><li>● on scene</li></ul>
        <button type="button" class="button" onClick={() => map.current?.fit()}>Show all</button>
      </div>
      {problem && <p class="notice problem" role="alert">No map: {problem}</p>}
      {marks.length === 0 && <p class="hint">Nobody has said yet where anything stands. {mayAct(desk) && desk.fleet.nodes.value.length > 0 && "Click into the map, or type the coordinates below."}</p>}
      {isBare && <p class="hint">A grid of coordinates: no map file and no site plan are named in <code>center.toml</code>, under <code>[map]</code>.</p>}
      <div class="map" ref={box} role="region" aria-label="Map of cameras and units" />
      <details class="map-list"><summary>As a list ({marks.length})</summary><ul class="lines">{marks.map((mark) => <li key={mark.key}><span>{mark.sign} {mark.name}: {mark.words}, at {mark.lat.toFixed(5)}, {mark.lon.toFixed(5)}</span>
        {mark.incident !== null && <button type="button" class="button quiet" onClick={() => openMark(desk, mark)}>Incident {mark.incident}</button>}</li>)}</ul></details>
      {mayAct(desk) && desk.fleet.nodes.value.length === 0 && <p class="hint">Only what is in the fleet can be put on the map, and nothing is yet.</p>}
      {mayAct(desk) && desk.fleet.nodes.value.length > 0 && <PlaceForm picked={picked} />}
    </main>
  );
}

function openMark(desk: Desk, mark: Marked): void {
  if (mark.incident === null) return;
  desk.select(mark.incident);
  goTo("incidents");
}

/** Says where a site, a node or a camera stands: what "nearest unit" and the map live on. */
function PlaceForm({ picked }: { picked: { lat: number; lon: number } | null }): JSX.Element {
  const desk = useDesk();
  const [notice, setNotice] = useNotice();
  const [at, setAt] = useState({ lat: "", lon: "" });
  const [isBusy, once] = useOnce();
  useEffect(() => {
    if (picked) setAt({ lat: picked.lat.toFixed(6), lon: picked.lon.toFixed(6) });
  }, [picked]);
  const names = [...new Set(desk.fleet.nodes.value.flatMap((node) => [...(node.cameras ?? []).map((camera) => `${node.name}/${camera.camera}`), node.name, node.site]))].filter(Boolean);
  const put = async (form: HTMLFormElement) => {
    const name = String(new FormData(form).get("name") ?? "").trim();
    try {
      const answer = await desk.center.send<{ places: Place[] }>("PUT", `/places/${name.split("/").map(encodeURIComponent).join("/")}`, { lat: Number(at.lat), lon: Number(at.lon) });
      desk.units.places.value = answer.places;
      setNotice(`${name} stands there now.`);
    } catch (error) {
      setNotice(`Not kept. ${wordsOf(error)}`);
    }
  };
  return (
    <form class="line-form" aria-label="Say where something stands" onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      once(() => put(form));
    }}>
      <h3 class="form-title">Say where something stands: click into the map, or type it</h3>
      <label>What <select name="name" required>{names.map((name) => <option key={name} value={name}>{name}</option>)}</select></label>
      <label>Latitude <input type="number" step="any" min="-90" max="90" required value={at.lat} onInput={(event) => setAt({ ...at, lat: event.currentTarget.value })} /></label>
      <label>Longitude <input type="number" step="any" min="-180" max="180" required value={at.lon} onInput={(event) => setAt({ ...at, lon: event.currentTarget.value })} /></label>
      <button type="submit" class="button" disabled={isBusy}>It stands here</button>
      <Notice said={notice} />
    </form>
  );
}
