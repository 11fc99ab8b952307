/** What the fleet's figures say in words: who is heard, and what has not been heard yet. */

import type { FleetNode } from "../wire/shapes";
import { duration, isKnown, plural } from "./format";

/** Whoever needs a look comes first. */
export const STATES = ["silent", "late", "quarantined", "waiting", "live", "revoked"] as const;
const SIGNS: Record<string, string> = { live: "●", late: "◐", silent: "○", waiting: "…", quarantined: "⊘", revoked: "×" };

/** A node's state with its sign; while the stream is lost it is what it was. */
export function stateWords(state: string, isStreamLive: boolean): string {
  return isStreamLive ? `${SIGNS[state] ?? "?"} ${state}` : `was ${state}`;
}

const LATE_AFTER_INTERVALS = 2;
const GAPS_NAMED = 3;

export function backlog(node: FleetNode): number {
  return (node.backlog ?? []).reduce((sum, count) => sum + count, 0);
}

const ROOM_WORDS: Record<string, string> = {
  alerts_only: "its spool is full: it stores alerts only, pictures and clips are lost",
  disk_full: "its disk is full: it stores alerts only, pictures and clips are lost",
  none: "its spool is full: not even alerts find room",
};

/** Why a node does not store all that it should, or nothing. */
export function roomWords(node: FleetNode): string {
  return ROOM_WORDS[node.room ?? "free"] ?? "";
}

/** "oversized 3, malformed 1": what a node turned away, the most frequent first. */
export function refusalWords(node: FleetNode): string {
  const rows = Object.entries(node.refusals ?? {}).sort(([, one], [, other]) => other - one);
  return rows.map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`).join(", ");
}

export function gapWords(gaps: readonly [number, number][]): string {
  const named = gaps.slice(0, GAPS_NAMED).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return named.join(", ") + (gaps.length > GAPS_NAMED ? ` and ${gaps.length - GAPS_NAMED} more gaps` : "");
}

/** The center's verdict, unless its own age says that the verdict is out of date. */
export function stateOf(node: FleetNode, ageMs: number | null, isStreamLive: boolean): FleetNode["state"] {
  if (node.state !== "live" || !isStreamLive || !isKnown(ageMs) || !(node.interval_s > 0)) return node.state;
  return ageMs > LATE_AFTER_INTERVALS * node.interval_s * 1000 + 2000 ? "late" : "live";
}

/** What is missing of one node, a sentence each. */
export function unheardOf(node: FleetNode, state: string, ageMs: number | null): string[] {
  const lines: string[] = [];
  if (state === "revoked") return lines;
  if (state === "late" || state === "silent") lines.push(`${node.name} ${state}: no word for ${duration(ageMs)}, expected every ${node.interval_s} s`);
  if (roomWords(node)) lines.push(`${node.name}: ${roomWords(node)}`);
  if (node.missing > 0) lines.push(`${node.name}: ${plural(node.missing, "message")} missing (${gapWords(node.gaps ?? [])})`);
  if (backlog(node) > 0) lines.push(`${node.name}: ${backlog(node)} waiting to come, oldest ${duration(node.oldest_waiting_s * 1000)}`);
  if (node.forgone > 0) lines.push(`${node.name}: ${plural(node.forgone, "message")} given up, will never come`);
  return lines;
}

/** What stands on a node's card beside its state. */
export function troublesOf(node: FleetNode): string {
  return [
    node.reason,
    roomWords(node),
    node.missing > 0 && `${node.missing} missing`,
    backlog(node) > 0 && `${backlog(node)} waiting`,
    node.forgone > 0 && `${node.forgone} given up`,
  ].filter(Boolean).join(" · ");
}

/** "3 cameras live, last word 2 s ago." — or what is missing for that to be true. */
export function quietWords(nodes: readonly FleetNode[], state: (node: FleetNode) => string, age: (node: FleetNode) => number | null): string {
  if (nodes.length === 0) return "No node is enrolled yet. The first alert appears here by itself.";
  const seeing = nodes.filter((node) => state(node) === "live").flatMap((node) => node.cameras).filter((camera) => camera.state.toLowerCase() === "seeing").length;
  const ages = nodes.map(age).filter(isKnown);
  const word = ages.length ? `last word ${duration(Math.min(...ages))} ago` : "no word yet";
  const troubled = nodes.filter((node) => ["late", "silent", "quarantined"].includes(state(node)));
  const lead = seeing === 0 ? "No incident, but no camera is live" : troubled.length ? "No incident" : "All quiet";
  return `${lead}. ${plural(seeing, "camera")} live, ${word}.${troubled.length ? ` No good word from ${troubled.map((node) => node.name).join(", ")}.` : ""}`;
}

/** Which paths carry what a node says. */
export function pathWords(node: FleetNode): string {
  return (node.paths ?? []).map((path) => `${path.path} ${path.is_up ? (path.rtt_ms > 0 ? `${Math.round(path.rtt_ms)} ms` : "up") : "down"}`).join(", ");
}
