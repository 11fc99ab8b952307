/** What a viewer is told of live video, from what the browser counts. Pure. */

/** Counters of the receiver at one moment; times in milliseconds of `performance.now()`. */
export interface Counters {
  at: number;
  bytes: number;
  packets: number;
  lost: number;
  frames: number;
}

export interface Readings {
  kbps: number;
  /** Share of packets, 0 … 1. */
  loss: number;
  fps: number;
}

/** What happened between two looks; null where no time passed, or the counters belong to another connection. */
export function between(before: Counters, now: Counters): Readings | null {
  const ms = now.at - before.at;
  const packets = now.packets - before.packets;
  const lost = Math.max(0, now.lost - before.lost); // what came late after all is taken back by the browser
  if (ms <= 0 || packets < 0 || now.bytes < before.bytes) return null;
  return {
    kbps: ((now.bytes - before.bytes) * 8) / ms,
    loss: packets + lost > 0 ? lost / (packets + lost) : 0,
    fps: ((now.frames - before.frames) * 1000) / ms,
  };
}

/** By now there is a picture where there is a direct way. */
export const NO_WAY_AFTER_MS = 9000;

/** A picture that stands still must not look live: from this age on it is said aloud. */
export const OLD_AFTER_MS = 3000;

/** One line below the picture. */
export function statusLine(reading: Readings | null, ageMs: number | null, joinMs: number | null): string {
  const parts: string[] = [];
  if (ageMs !== null) parts.push(`picture ${ageMs < 1000 ? `${Math.round(ageMs)} ms` : `${(ageMs / 1000).toFixed(1)} s`} old`);
  if (reading) {
    parts.push(reading.kbps >= 1000 ? `${(reading.kbps / 1000).toFixed(1)} Mbit/s` : `${Math.round(reading.kbps)} kbit/s`);
    parts.push(`${(reading.loss * 100).toFixed(reading.loss < 0.1 ? 1 : 0)} % lost`);
  }
  if (joinMs !== null) parts.push(`first picture after ${(joinMs / 1000).toFixed(2)} s`);
  return parts.join(" · ");
}

/** What stands where the picture will be: a black screen could be a dark yard. */
export function waitingWords(node: string, isAnswered: boolean, waitedMs: number): string {
  if (!isAnswered) return `Asking ${node} for its picture…`;
  if (waitedMs < NO_WAY_AFTER_MS) return `${node} has answered: its picture is on the way…`;
  return `${node} has answered, and no video comes through so far: single pictures follow if there is no way for it…`;
}

/** Why no picture is here any more. */
export function overWords(why: string, wasShown: boolean): string {
  if (!why) return "You stopped watching.";
  return `${wasShown ? "Ended" : "Not shown"}: ${why.replace(/\.$/, "")}.`;
}

/** A sign beside the words of a rung: filled where it is all that the camera sees. */
export function rungSign(rung: string): string {
  return rung === "main" ? "●" : rung === "sub" ? "◑" : "◔";
}

/** What the rung means, for a person. */
export function rungWords(rung: string): string {
  switch (rung) {
    case "main": return "Live";
    case "sub": return "Live, smaller: the line is thin";
    case "stills": return "Single pictures: the line carries no video";
    case "relay-stills": return "Single pictures through the relay: no direct way";
    default: return "Connecting";
  }
}
