import { expect, test } from "vitest";

import { SseParser } from "../src/wire/sse_parser";

test("a stream reads the same however its bytes are cut", () => {
  const text = ": hello\r\n\r\nid: 1\nevent: incident\ndata: {\"a\":\ndata: 1}\n\nevent: reset\ndata: {}\r\rid:2\ndata:x\n\n: heartbeat\n\n";
  const whole = new SseParser().push(text);
  expect(whole).toEqual([
    { name: "incident", data: '{"a":\n1}', id: "1" }, { name: "reset", data: "{}", id: null }, { name: "message", data: "x", id: "2" },
  ]);
  for (let size = 1; size < 9; size += 1) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual(whole);
  }
});
