/**
 * The map itself: Leaflet over a PMTiles archive, a picture of the site, or a grid of coordinates. It fetches nothing from
 * elsewhere, and never moves by itself: an alert must not take away what somebody is looking at.
 */

import "leaflet/dist/leaflet.css";

import * as L from "leaflet";
import { leafletRasterLayer, PMTiles, TileType } from "pmtiles";

import type { Marked } from "../model/marks";
import type { MapGround } from "../views/map_page";

const CLOSEST = 22;
/** A mark has its name at its right, and the map ends somewhere. */
const NAME_PX = 170;
const MARK_PX = 24;

export class SiteMap {
  readonly #map: L.Map;
  readonly #markers = new Map<string, { marker: L.Marker; shown: string; mark: Marked }>();
  readonly #groundBounds: L.LatLngBounds | null;
  onPick: (lat: number, lon: number) => void = () => {};
  onMark: (mark: Marked) => void = () => {};

  private constructor(map: L.Map, groundBounds: L.LatLngBounds | null) {
    this.#map = map;
    this.#groundBounds = groundBounds;
    map.on("click", (event: L.LeafletMouseEvent) => this.onPick(event.latlng.lat, event.latlng.wrap().lng));
  }

  static async open(box: HTMLElement, ground: MapGround, isLight: boolean): Promise<SiteMap> {
    const map = L.map(box, { attributionControl: true, zoomControl: true, maxZoom: CLOSEST, worldCopyJump: true, zoomAnimation: false, fadeAnimation: false, markerZoomAnimation: false });
    map.attributionControl.setPrefix(false);
    map.setView([20, 0], 2);
    let bounds: L.LatLngBounds | null = null;
    if (ground.base_url) bounds = await addArchive(map, ground.base_url, isLight);
    if (ground.plan) {
      const { url, south, west, north, east } = ground.plan;
      bounds = L.latLngBounds([south, west], [north, east]);
      L.imageOverlay(url, bounds, { alt: "Site plan" }).addTo(map);
    }
    if (!ground.base_url) map.addLayer(new Grid({ maxZoom: CLOSEST }));
    return new SiteMap(map, bounds);
  }

  /** Draws what changed; what stays the same is left alone, so the keyboard's focus is, too. */
  show(marks: readonly Marked[]): void {
    const wanted = new Set(marks.map((mark) => mark.key));
    for (const [key, { marker }] of this.#markers) {
      if (wanted.has(key)) continue;
      marker.remove();
      this.#markers.delete(key);
    }
    for (const mark of marks) this.#draw(mark);
  }

  /** Everything in sight. */
  fit(): void {
    const bounds = L.latLngBounds([...this.#markers.values()].map(({ marker }) => marker.getLatLng()));
    if (bounds.isValid()) {
      this.#map.fitBounds(bounds.pad(0.2), { maxZoom: 18, animate: false });
      this.#makeRoomForNames();
    } else if (this.#groundBounds) this.#map.fitBounds(this.#groundBounds, { animate: false });
  }

  /** Moves the names at the right into the map, as far as that leaves the marks at the left in it. */
  #makeRoomForNames(): void {
    const across = [...this.#markers.values()].map(({ marker }) => this.#map.latLngToContainerPoint(marker.getLatLng()).x);
    const shift = Math.min(Math.max(...across) + NAME_PX - this.#map.getSize().x, Math.min(...across) - MARK_PX);
    if (shift > 0) this.#map.panBy([shift, 0], { animate: false });
  }

  close(): void {
    this.#map.remove();
  }

  #draw(mark: Marked): void {
    const shown = JSON.stringify(mark);
    const held = this.#markers.get(mark.key);
    if (held?.shown === shown) return;
    if (held) {
      held.marker.setLatLng([mark.lat, mark.lon]);
      const element = held.marker.getElement();
      if (element) fill(element, mark);
      this.#markers.set(mark.key, { ...held, shown, mark });
      return;
    }
    const marker = L.marker([mark.lat, mark.lon], { icon: L.divIcon({ className: "map-mark", iconSize: undefined as unknown as L.PointExpression, html: document.createElement("span") }), keyboard: true, title: "" });
    marker.addTo(this.#map);
    const element = marker.getElement();
    if (element) fill(element, mark);
    marker.on("click keypress", (event) => {
      const key = (event as L.LeafletKeyboardEvent).originalEvent?.key;
      const now = this.#markers.get(mark.key)?.mark;
      if (now && (key === undefined || key === "Enter")) this.onMark(now);
    });
    this.#markers.set(mark.key, { marker, shown, mark });
  }
}

/** Text only ever becomes text: a camera's name can't become markup. */
function fill(element: HTMLElement, mark: Marked): void {
  element.dataset.tone = mark.tone;
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", `${mark.name}: ${mark.words}`);
  element.title = `${mark.name}: ${mark.words}`;
  const sign = document.createElement("span");
  sign.className = "map-sign";
  sign.textContent = mark.sign;
  const name = document.createElement("span");
  name.className = "map-name";
  name.textContent = mark.name;
  element.replaceChildren(sign, name);
}

/** Raster tiles as pictures, vector tiles drawn here. */
async function addArchive(map: L.Map, url: string, isLight: boolean): Promise<L.LatLngBounds> {
  const archive = new PMTiles(new URL(url, location.href).href);
  const header = await archive.getHeader();
  if (header.tileType === TileType.Mvt) {
    const { leafletLayer } = await import("protomaps-leaflet");
    (leafletLayer({ url: archive.source.getKey(), flavor: isLight ? "light" : "dark", lang: "en", maxDataZoom: header.maxZoom }) as unknown as L.Layer).addTo(map);
  } else {
    (leafletRasterLayer(archive, { maxNativeZoom: header.maxZoom, maxZoom: CLOSEST }) as L.Layer).addTo(map);
  }
  return L.latLngBounds([header.minLat, header.minLon], [header.maxLat, header.maxLon]);
}

/** A plain grid that names its coordinates. */
class Grid extends L.GridLayer {
  override createTile(coords: L.Coords): HTMLElement {
    const tile = document.createElement("div");
    tile.className = "map-grid";
    const corner = this._map.unproject(L.point(coords.x, coords.y).multiplyBy(this.getTileSize().x), coords.z);
    tile.textContent = `${corner.lat.toFixed(Math.min(5, Math.max(0, coords.z - 6)))}, ${corner.lng.toFixed(Math.min(5, Math.max(0, coords.z - 6)))}`;
    return tile;
  }
}
