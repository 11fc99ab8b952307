import { expect, test, vi } from "vitest";

import { EventStream } from "../src/wire/event_stream";

function body(...pieces: string[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      controller.close();
    },
  });
}

test("after a loss the stream goes on behind the last event, and says that it was lost", async () => {
  vi.useFakeTimers();
  const asked: number[] = [];
  const answers = [
    () => body("id: 4\nevent: incident\ndata: {\"id\":1}\n\n"),
    () => { throw new Error("unreachable"); },
    () => body("id: 5\nevent: incident\ndata: {\"id\":2}\n\n"),
  ];
  const stream = new EventStream(async (after) => {
    asked.push(after);
    return (answers.shift() ?? (() => new ReadableStream<Uint8Array>()))();
  });
  const taken: unknown[] = [];
  const states: string[] = [];
  stream.onEvent = (_, value) => taken.push(value);
  stream.onState = (state) => states.push(state);
  stream.start(3);
  await vi.advanceTimersByTimeAsync(5000);
  stream.stop();
  vi.useRealTimers();
  expect(asked.slice(0, 4)).toEqual([3, 4, 4, 5]);
  expect(taken).toEqual([{ id: 1 }, { id: 2 }]);
  expect(states).toEqual(["live", "lost", "live"]);
});

test("an event that can't be read leads to a new load and not to silence", async () => {
  const stream = new EventStream(async () => body("id: 1\nevent: incident\ndata: {broken\n\n"));
  const complaint = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const reset = new Promise<void>((resolve) => { stream.onReset = resolve; });
  stream.start(0);
  await reset;
  stream.stop();
  expect(stream.lastId).toBe(1);
  expect(complaint).toHaveBeenCalledOnce();
  complaint.mockRestore();
});
