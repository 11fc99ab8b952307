/**
 * Turns the text of an event stream into events (HTML Living Standard, section 9.2.6).
 *
 * The browser's EventSource hides comments, and the center's heartbeat is a comment: with it a dead connection and a
 * quiet night would look alike. So the stream is read with fetch, and every piece of text counts as a sign of life.
 */

export interface StreamEvent {
  name: string;
  data: string;
  id: string | null;
}

export class SseParser {
  #rest = "";
  #name = "";
  #data: string[] = [];
  #id: string | null = null;

  /** The events that this piece completed. */
  push(text: string): StreamEvent[] {
    // A carriage return at the very end may be half of a line end: it waits for what follows.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): StreamEvent[] {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return [];
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id") this.#id = value;
    return [];
  }

  #dispatch(): StreamEvent[] {
    const event = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    const isEvent = this.#data.length > 0 || this.#name !== "";
    this.#name = "";
    this.#data = [];
    this.#id = null;
    return isEvent ? [event] : [];
  }
}
