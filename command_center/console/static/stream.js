// @ts-check
/**
 * Keeps the event stream open and says honestly whether it is.
 *
 * Steps: read from the last event id; any text is a word from the center; no word for SILENCE_MS, an end or an error
 * breaks the connection; one quick second try is silent, then the stream is lost and tries go on for ever. Whoever
 * reconnects asks for what came after the last event id, so nothing is skipped.
 */

import { SseParser } from "./sse_parser.js";

const SILENCE_MS = 12_000; // the center sends a heartbeat every 5 s
const QUICK_RETRY_MS = 250;
const RETRY_MS = [1000, 2000, 3000, 5000];

/** @typedef {"connecting"|"live"|"lost"} StreamState */

export class EventStream {
  #api;
  /** @type {AbortController|null} */
  #stopping = null;
  #failures = 0;
  #caughtUp = 0;
  /** @type {() => void} */
  #wake = () => {};

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
    this.lastId = 0;
    /** @type {StreamState} */
    this.state = "connecting";
    /** When the last word, heartbeats included, came in; by performance.now(). */
    this.lastWordAt = 0;
    /** When the next try starts; by performance.now(). */
    this.nextTryAt = 0;
    /** @type {(name: string, value: any) => void} */
    this.onEvent = () => {};
    this.onReset = () => {};
    /** @type {(state: StreamState, was: StreamState) => void} */
    this.onState = () => {};
  }

  /** Events read since the stream last became live: after a loss, this is what was caught up. */
  get caughtUp() {
    return this.#caughtUp;
  }

  /**
   * Starts reading after an event id, ending what was open before.
   *
   * @param {number} after
   */
  start(after) {
    this.stop();
    this.lastId = after;
    this.#failures = 0;
    this.#stopping = new AbortController();
    void this.#keepReading(this.#stopping.signal);
  }

  stop() {
    this.#stopping?.abort();
    this.#stopping = null;
  }

  retryNow() {
    this.#wake();
  }

  /** @param {AbortSignal} stopped */
  async #keepReading(stopped) {
    while (!stopped.aborted) {
      try {
        await this.#read(stopped);
      } catch {
        // Whatever broke the connection, the answer is the same: say so, and read on from the last event.
      }
      if (stopped.aborted) return;
      this.#failures += 1;
      if (this.#failures > 1) this.#enter("lost");
      const waitMs = this.#failures === 1 ? QUICK_RETRY_MS : RETRY_MS[Math.min(this.#failures - 2, RETRY_MS.length - 1)];
      this.nextTryAt = performance.now() + waitMs;
      await this.#pause(waitMs, stopped);
    }
  }

  /** @param {AbortSignal} stopped */
  async #read(stopped) {
    const connection = new AbortController();
    const cut = () => connection.abort();
    stopped.addEventListener("abort", cut);
    let watchdog = setTimeout(cut, SILENCE_MS);
    try {
      const body = await this.#api.events(this.lastId, connection.signal);
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new SseParser();
      this.#caughtUp = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(cut, SILENCE_MS);
        this.lastWordAt = performance.now();
        // Only a word makes the stream live: a proxy may accept a connection that leads nowhere.
        this.#failures = 0;
        this.#enter("live");
        for (const event of parser.push(value)) {
          if (stopped.aborted) return;
          this.#take(event);
        }
      }
    } finally {
      clearTimeout(watchdog);
      stopped.removeEventListener("abort", cut);
      connection.abort();
    }
  }

  /** @param {import("./sse_parser.js").StreamEvent} event */
  #take(event) {
    if (event.name === "reset") {
      this.onReset();
      return;
    }
    const id = Number(event.id);
    if (event.id !== null && Number.isSafeInteger(id)) this.lastId = id;
    this.#caughtUp += 1;
    try {
      this.onEvent(event.name, event.data === "" ? null : JSON.parse(event.data));
    } catch (error) {
      // Neither skipped in silence nor asked for again for ever: the whole picture is loaded anew.
      console.error(`event ${event.id} (${event.name}) could not be read: everything is loaded anew`, error);
      this.onReset();
    }
  }

  /** @param {StreamState} state */
  #enter(state) {
    if (state === this.state) return;
    const was = this.state;
    this.state = state;
    this.onState(state, was);
  }

  /**
   * @param {number} milliseconds
   * @param {AbortSignal} stopped
   */
  #pause(milliseconds, stopped) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(null);
      };
      stopped.addEventListener("abort", this.#wake, { once: true });
    });
  }
}
