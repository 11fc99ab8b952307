/** The map page: its program and its map library come only when somebody opens it. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Desk } from "../desk";
import { words } from "../model/format";
import { type Marked, markedPlaces } from "../model/marks";
import { theme } from "../theme";
import { wordsOf } from "../wire/center";
import type { Place } from "../wire/dispatch_shapes";
import { goTo } from "../page";
import type { SiteMap } from "../map/site_map";
import { useDesk } from "./desk_context";
import { mayAct } from "./may";

export interface MapGround {
  base_url: string | null;
  plan: { url: string; south: number; west: number; north: number; east: number } | null;
}

export function MapPage(): JSX.Element {
  const desk = useDesk();
  const box = useRef<HTMLDivElement>(null);
  const map = useRef<SiteMap | null>(null);
  const [problem, setProblem] = useState("");
  const [picked, setPicked] = useState<{ lat: number; lon: number } | null>(null);
  void desk.revision.value;
  void desk.second.value;
  const marks = markedPlaces(desk.units.places.value, desk.fleet.nodes.value.map((node) => ({ node, state: desk.fleet.state(node) })), desk.book.all(), desk.units.all.value);

  useEffect(() => {
    let isGone = false;
    const open = async () => {
      const [{ SiteMap: Made }, ground] = await Promise.all([import("../map/site_map"), desk.center.get<MapGround>("/map")]);
      if (isGone || !box.current) return;
      map.current = await Made.open(box.current, ground, theme.value === "light");
      map.current.onPick = (lat, lon) => setPicked({ lat, lon });
      map.current.onMark = (mark) => openMark(desk, mark);
      map.current.show(marks);
      map.current.fit();
    };
    open().catch((error: unknown) => setProblem(wordsOf(error)));
    return () => {
      isGone = true;
      map.current?.close();
      map.current = null;
    };
  }, []);
  useEffect(() => map.current?.show(marks));

  return (
    <main id="page" tabIndex={-1} class="page map-page" aria-labelledby="map-title">
      <div class="page-head">
        <h2 id="map-title">Map</h2>
        <ul class="legend" aria-label="Legend"><li>▲ camera</li><li>⬢ with an open incident</li><li>○ ▶ ● unit</li></ul>
        <button type="button" class="button" onClick={() => map.current?.fit()}>Show all</button>
      </div>
      {problem && <p class="notice problem" role="alert">No map: {problem}</p>}
      {marks.length === 0 && <p class="hint">Nobody has said yet where anything stands. {mayAct(desk) && "Click into the map, or type the coordinates below."}</p>}
      <div class="map" ref={box} role="region" aria-label="Map of cameras and units" />
      <details class="map-list"><summary>As a list ({marks.length})</summary><ul class="lines">{marks.map((mark) => <li key={mark.key}><span>{mark.sign} {mark.name}: {mark.words}, at {mark.lat.toFixed(5)}, {mark.lon.toFixed(5)}</span>
        {mark.incident !== null && <button type="button" class="button quiet" onClick={() => openMark(desk, mark)}>Incident {mark.incident}</button>}</li>)}</ul></details>
      {mayAct(desk) && <PlaceForm picked={picked} />}
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
  const [notice, setNotice] = useState("");
  const [at, setAt] = useState({ lat: "", lon: "" });
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
      void put(event.currentTarget);
    }}>
      <label>What <select name="name" required>{names.map((name) => <option key={name} value={name}>{name}</option>)}</select></label>
      <label>Latitude <input type="number" step="any" min="-90" max="90" required value={at.lat} onInput={(event) => setAt({ ...at, lat: event.currentTarget.value })} /></label>
      <label>Longitude <input type="number" step="any" min="-180" max="180" required value={at.lon} onInput={(event) => setAt({ ...at, lon: event.currentTarget.value })} /></label>
      <button type="submit" class="button" disabled={names.length === 0}>It stands here</button>
      <span role="status" class="hint">{words(notice) ? notice : ""}</span>
    </form>
  );
}
