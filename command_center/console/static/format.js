// @ts-check
/** Numbers and times in words. Nothing here ever prints NaN: what is not known is said to be not known. */

import { element } from "./element.js";

const UNKNOWN = "unknown";
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

/**
 * @param {unknown} value
 * @returns {value is number}
 */
export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * A length of time that ticks: `8 s`, `1 min 24 s`, `3 h 12 min`, `2 d 4 h`.
 *
 * @param {number|null|undefined} milliseconds
 */
export function duration(milliseconds) {
  if (!isKnown(milliseconds)) return UNKNOWN;
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * A short machine time: `0.4 ms`, `38 ms`, `1.24 s`, `2 min 05 s`.
 *
 * @param {number|null|undefined} milliseconds
 */
export function span(milliseconds) {
  if (!isKnown(milliseconds)) return "not known";
  if (milliseconds < 10) return `${Math.max(0, milliseconds).toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
  return duration(milliseconds);
}

/** @param {number|null|undefined} fraction */
export function percent(fraction) {
  return isKnown(fraction) ? `${Math.round(fraction * 100)} %` : UNKNOWN;
}

/**
 * Local time of day; with the day when it is not today's.
 *
 * @param {number|null|undefined} atMs
 */
export function localTime(atMs) {
  if (!isKnown(atMs)) return UNKNOWN;
  const at = new Date(atMs);
  if (Number.isNaN(at.getTime())) return UNKNOWN;
  return (at.toDateString() === new Date().toDateString() ? timeOfDay : dayAndTime).format(at);
}

/**
 * The moment in UTC, as it stands in the journal: `2026-11-20 22:13:05.120 UTC`.
 *
 * @param {number|null|undefined} atMs
 */
export function utcTime(atMs) {
  if (!isKnown(atMs)) return UNKNOWN;
  const at = new Date(atMs);
  return Number.isNaN(at.getTime()) ? UNKNOWN : `${at.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/**
 * A `<time>` showing local time, and UTC on hover.
 *
 * @param {number|null|undefined} atMs
 * @param {string} [className]
 */
export function timeElement(atMs, className) {
  const known = utcTime(atMs) !== UNKNOWN;
  return element("time", {
    class: className, title: utcTime(atMs), datetime: known ? new Date(/** @type {number} */ (atMs)).toISOString() : undefined,
  }, localTime(atMs));
}

/**
 * `1 camera`, `3 cameras`.
 *
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/**
 * A machine's word as a person's: `zone_intrusion` becomes `zone intrusion`.
 *
 * @param {string|null|undefined} name
 */
export function words(name) {
  return String(name ?? "").replaceAll(/[_-]/g, " ").toLowerCase();
}

/**
 * Where it happens: site · camera · zone, leaving out what is empty.
 *
 * @param {import("./types.js").Incident} incident
 */
export function place(incident) {
  return [incident.node.site || incident.node.name, incident.camera, incident.zone].filter(Boolean).join(" · ");
}
