/** Numbers and times in words. Nothing here ever prints NaN: what is not known is said to be not known. */

import type { Incident } from "../wire/shapes";

const UNKNOWN = "unknown";
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const yearDayAndTime = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export function isKnown(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** A length of time that ticks: `8 s`, `1 min 24 s`, `3 h 12 min`, `2 d 4 h`. */
export function duration(milliseconds: number | null | undefined): string {
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

/** A short machine time: `0.4 ms`, `38 ms`, `1.24 s`, `2 min 05 s`. */
export function span(milliseconds: number | null | undefined): string {
  if (!isKnown(milliseconds)) return "not known";
  if (milliseconds < 10) return `${Math.max(0, milliseconds).toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
  return duration(milliseconds);
}

export function percent(fraction: number | null | undefined): string {
  return isKnown(fraction) ? `${Math.round(fraction * 100)} %` : UNKNOWN;
}

/** `812 B`, `4.1 kB`, `3.2 MB`, `1.1 GB`. */
export function bytes(count: number | null | undefined): string {
  if (!isKnown(count)) return UNKNOWN;
  if (count < 1000) return `${count} B`;
  const [size, unit] = count < 1e6 ? [count / 1e3, "kB"] : count < 1e9 ? [count / 1e6, "MB"] : [count / 1e9, "GB"];
  return `${size.toFixed(1)} ${unit}`;
}

/** Local time of day; with the day when it is not that of `nowMs`, and with the year when that differs, too. */
export function localTime(atMs: number | null | undefined, nowMs: number): string {
  if (!isKnown(atMs)) return UNKNOWN;
  const at = new Date(atMs);
  const now = new Date(nowMs);
  if (Number.isNaN(at.getTime())) return UNKNOWN;
  if (at.getFullYear() !== now.getFullYear()) return yearDayAndTime.format(at);
  return (at.toDateString() === now.toDateString() ? timeOfDay : dayAndTime).format(at);
}

/** When the local day of a moment began; milliseconds since 1970. */
export function startOfDay(atMs: number): number {
  return new Date(atMs).setHours(0, 0, 0, 0);
}

/** The moment in UTC, as it stands in the journal: `2026-11-20 22:13:05.120 UTC`. */
export function utcTime(atMs: number | null | undefined): string {
  const iso = isoTime(atMs);
  return iso === undefined ? UNKNOWN : `${iso.replace("T", " ").replace("Z", "")} UTC`;
}

/** For `<time datetime>`. */
export function isoTime(atMs: number | null | undefined): string | undefined {
  if (!isKnown(atMs)) return undefined;
  const at = new Date(atMs);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** `1 camera`, `3 cameras`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/** A machine's word as a person's: `zone_intrusion` becomes `zone intrusion`. */
export function words(name: string | null | undefined): string {
  return String(name ?? "").replaceAll(/[_-]/g, " ").toLowerCase();
}

/** The same, beginning as a sentence does: `On scene`. */
export function sentence(name: string | null | undefined): string {
  const said = words(name);
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** A browser as a person calls it: `Chrome 126 on Windows`; its own words where it is none that we know. */
export function browserWords(agent: string): string {
  const [, name = "", version = ""] = /(Edg|OPR|Firefox|HeadlessChrome|Chrome|CriOS|Version)\/(\d+)/.exec(agent.replace(/Chrome\/\S+ (?=.*(Edg|OPR)\/)/, "")) ?? [];
  const system = /Windows|Android|iPhone|iPad|CrOS|Mac OS X|Linux/.exec(agent)?.[0] ?? "";
  if (!name || !system) return agent || "an unknown browser";
  const known: Record<string, string> = { Edg: "Edge", OPR: "Opera", HeadlessChrome: "Chrome", CriOS: "Chrome", Version: "Safari" };
  return `${known[name] ?? name} ${version} on ${system === "Mac OS X" ? "macOS" : system === "CrOS" ? "ChromeOS" : system}`;
}

/** Where it happens: site · camera · zone, leaving out what is empty. */
export function place(incident: Incident): string {
  return [incident.node.site || incident.node.name, incident.camera, incident.zone].filter(Boolean).join(" · ");
}
