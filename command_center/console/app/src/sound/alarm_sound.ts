/**
 * Alarm tones. A browser stays silent until the page was touched, and without a word about it: so the console says
 * whether its alarms are armed, and they are armed only after a person has heard the test.
 */

import { rank } from "../model/precedence";
import type { Precedence } from "../wire/shapes";

type Note = [frequencyHz: number, startS: number, lengthS: number];
export type Tone = Precedence | "lost" | "back";
export type AlarmState = "armed" | "muted" | "untested" | "blocked";

const QUIET_MS = 2000; // one tone at a time: a burst of alerts is one sound, the most urgent one
const REPEAT_FLASH_MS = 15_000;
const HEARD_KEY = "heard.sound-test-heard";

const TONES: Partial<Record<Tone, Note[]>> = {
  FLASH: [[988, 0, 0.14], [740, 0.16, 0.14], [988, 0.32, 0.14], [740, 0.48, 0.14], [988, 0.64, 0.14], [740, 0.8, 0.22]],
  IMMEDIATE: [[659, 0, 0.18], [880, 0.22, 0.3]],
  PRIORITY: [[523, 0, 0.3]],
  lost: [[440, 0, 0.3], [330, 0.34, 0.3], [247, 0.68, 0.5]],
  back: [[330, 0, 0.14], [494, 0.18, 0.24]],
};

export class AlarmSound {
  #context: AudioContext | null = null;
  #lastAt = -Infinity;
  #lastRank = Infinity;
  #flashAt = -Infinity;
  #wasHeard = sessionStorage.getItem(HEARD_KEY) === "yes";
  #mutedAt: number | null = null;
  onChange: () => void = () => {};

  get state(): AlarmState {
    if (this.#context?.state !== "running") return "blocked";
    if (this.#mutedAt !== null) return "muted";
    return this.#wasHeard ? "armed" : "untested";
  }

  get mutedForMs(): number {
    return this.#mutedAt === null ? 0 : performance.now() - this.#mutedAt;
  }

  /** Makes sound possible; works only when called from a click or a key. */
  async unlock(): Promise<void> {
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#context.addEventListener("statechange", () => this.onChange());
    }
    if (this.#context.state === "suspended") await this.#context.resume().catch(() => undefined);
    this.onChange();
  }

  /** Plays the tone of one level, muted or not. */
  async test(level: Tone = "FLASH"): Promise<void> {
    await this.unlock();
    this.#play(level);
  }

  /** The person says that the test was heard. */
  confirmHeard(): void {
    this.#wasHeard = true;
    sessionStorage.setItem(HEARD_KEY, "yes");
    this.onChange();
  }

  /** Whoever signs in next tests anew. */
  forget(): void {
    this.#wasHeard = false;
    this.#mutedAt = null;
    sessionStorage.removeItem(HEARD_KEY);
    this.onChange();
  }

  toggleMute(): void {
    this.#mutedAt = this.#mutedAt === null ? performance.now() : null;
    this.onChange();
  }

  /** Sounds a new alert, unless a tone at least as urgent has just sounded. */
  alert(precedence: Precedence): void {
    if (this.#mutedAt !== null) return; // what nobody heard keeps nothing silent that comes after it
    const now = performance.now();
    if (now - this.#lastAt < QUIET_MS && this.#lastRank <= rank(precedence)) return;
    if (!TONES[precedence]) return;
    this.#lastAt = now;
    this.#lastRank = rank(precedence);
    if (precedence === "FLASH") this.#flashAt = now;
    this.#sound(precedence);
  }

  /** Called each second: an unacknowledged FLASH sounds again. */
  tick(isFlashWaiting: boolean): void {
    if (!isFlashWaiting) this.#flashAt = performance.now();
    else if (performance.now() - this.#flashAt >= REPEAT_FLASH_MS) this.alert("FLASH");
  }

  stream(what: "lost" | "back"): void {
    this.#sound(what);
  }

  #sound(name: Tone): void {
    if (this.#mutedAt === null) this.#play(name);
  }

  #play(name: Tone): void {
    const context = this.#context;
    if (!context || context.state !== "running") return;
    const start = context.currentTime + 0.02;
    for (const [frequency, at, length] of TONES[name] ?? []) {
      const tone = new OscillatorNode(context, { type: name === "FLASH" ? "square" : "triangle", frequency });
      const volume = new GainNode(context, { gain: 0 });
      const loud = name === "FLASH" ? 0.16 : 0.3;
      volume.gain.setValueAtTime(0, start + at);
      volume.gain.linearRampToValueAtTime(loud, start + at + 0.012);
      volume.gain.setValueAtTime(loud, start + at + length - 0.03);
      volume.gain.linearRampToValueAtTime(0, start + at + length);
      tone.connect(volume).connect(context.destination);
      tone.start(start + at);
      tone.stop(start + at + length + 0.02);
    }
  }
}
