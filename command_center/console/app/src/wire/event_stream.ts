/**
 * Keeps the event stream open and says honestly whether it is.
 *
 * Steps: read from the last event id; any text is a word from the center; no word for SILENCE_MS, an end or an error
 * breaks the connection; one quick second try is silent, then the stream is lost and tries go on for ever. Whoever
 * reconnects asks for what came after the last event id, so nothing is skipped.
 */

import { SseParser, type StreamEvent } from "./sse_parser";

const SILENCE_MS = 12_000; // the center sends a heartbeat every 5 s
const QUICK_RETRY_MS = 250;
const RETRY_MS = [1000, 2000, 3000, 5000];

export type StreamState = "connecting" | "live" | "lost";

/** Opens the stream after an event id. */
export type Open = (after: number, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;

export class EventStream {
  readonly #open: Open;
  #stopping: AbortController | null = null;
  #failures = 0;
  #wake: () => void = () => {};
  lastId = 0;
  state: StreamState = "connecting";
  /** When the last word, heartbeats included, came in; by performance.now(). */
  lastWordAt = 0;
  /** When the next try starts; by performance.now(). */
  nextTryAt = 0;
  /** Events read since the stream last became live: after a loss, this is what was caught up. */
  caughtUp = 0;
  onEvent: (name: string, value: unknown) => void = () => {};
  onReset: () => void = () => {};
  onState: (state: StreamState, was: StreamState) => void = () => {};

  constructor(open: Open) {
    this.#open = open;
  }

  /** Starts reading after an event id, ending what was open before. */
  start(after: number): void {
    this.stop();
    this.lastId = after;
    this.#failures = 0;
    this.#stopping = new AbortController();
    void this.#keepReading(this.#stopping.signal);
  }

  stop(): void {
    this.#stopping?.abort();
    this.#stopping = null;
  }

  retryNow(): void {
    this.#wake();
  }

  async #keepReading(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      try {
        await this.#read(stopped);
      } catch {
        // Whatever broke the connection, the answer is the same: say so, and read on from the last event.
      }
      if (stopped.aborted) return;
      this.#failures += 1;
      if (this.#failures > 1) this.#enter("lost");
      const waitMs = this.#failures === 1 ? QUICK_RETRY_MS : (RETRY_MS[Math.min(this.#failures - 2, RETRY_MS.length - 1)] ?? 5000);
      this.nextTryAt = performance.now() + waitMs;
      await this.#pause(waitMs, stopped);
    }
  }

  async #read(stopped: AbortSignal): Promise<void> {
    const connection = new AbortController();
    const cut = () => connection.abort();
    stopped.addEventListener("abort", cut);
    let watchdog = setTimeout(cut, SILENCE_MS);
    try {
      const body = await this.#open(this.lastId, connection.signal);
      const reader = body.getReader();
      const decoder = new TextDecoder();
      const parser = new SseParser();
      this.caughtUp = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(cut, SILENCE_MS);
        this.lastWordAt = performance.now();
        // Only a word makes the stream live: a proxy may accept a connection that leads nowhere.
        this.#failures = 0;
        this.#enter("live");
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
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

  #take(event: StreamEvent): void {
    if (event.name === "reset") {
      this.onReset();
      return;
    }
    const id = Number(event.id);
    if (event.id !== null && Number.isSafeInteger(id)) this.lastId = id;
    this.caughtUp += 1;
    try {
      this.onEvent(event.name, event.data === "" ? null : JSON.parse(event.data));
    } catch (error) {
      // Neither skipped in silence nor asked for again for ever: the whole picture is loaded anew.
      console.error(`event ${event.id} (${event.name}) could not be read: everything is loaded anew`, error);
      this.onReset();
    }
  }

  #enter(state: StreamState): void {
    if (state === this.state) return;
    const was = this.state;
    this.state = state;
    this.onState(state, was);
  }

  #pause(milliseconds: number, stopped: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      stopped.addEventListener("abort", this.#wake, { once: true });
    });
  }
}
