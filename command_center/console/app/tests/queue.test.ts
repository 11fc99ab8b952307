import { expect, test } from "vitest";

import { IncidentBook } from "../src/model/incident_book";
import { inSight, Queue } from "../src/model/queue";
import { incident } from "./incidents";

function desk(count: number) {
  const book = new IncidentBook();
  const time = { now: 100_000 };
  for (let id = 1; id <= count; id += 1) book.take(incident(id));
  const queue = new Queue(book, () => time.now);
  queue.settle();
  return { book, queue, time };
}

test("no row moves while a person is at work, and what came is counted", () => {
  const { book, queue } = desk(3);
  queue.touch();
  book.take(incident(4));
  book.take(incident(5, { precedence: "PRIORITY" }));
  book.take(incident(3, { version: 2, state: "acknowledged" }));
  queue.refresh();
  expect(queue.order).toEqual([3, 2, 1]);
  expect(queue.pending).toEqual({ count: 2, flash: 1 });
});

test("the queue settles when the hand has rested, or at once when it left", () => {
  const { book, queue, time } = desk(2);
  queue.touch();
  book.take(incident(3));
  queue.refresh();
  expect(queue.order).toEqual([2, 1]);
  time.now += 4001;
  queue.refresh();
  expect(queue.order).toEqual([3, 2, 1]);
  queue.touch();
  queue.rest();
  book.take(incident(4));
  queue.refresh();
  expect(queue.order).toEqual([4, 3, 2, 1]);
});

test("a click aimed before the rows moved is told apart from one aimed after", () => {
  const { book, queue, time } = desk(2);
  time.now += 10_000;
  expect(queue.hasJustMoved).toBe(false);
  book.take(incident(3));
  queue.refresh();
  expect(queue.hasJustMoved).toBe(true);
  time.now += 451;
  expect(queue.hasJustMoved).toBe(false);
});

test("the selection stays with its incident, and goes to the neighbor when it is gone", () => {
  const { book, queue } = desk(3);
  queue.selectedId = 2;
  book.take(incident(4));
  queue.settle();
  expect(queue.selectedId).toBe(2);
  book.take(incident(2, { version: 2, state: "closed" }));
  queue.settle();
  expect(queue.order).toEqual([4, 3, 1]);
  expect(queue.selectedId).toBe(1);
});

test("moving stays at the ends", () => {
  const { queue } = desk(2);
  queue.selectedId = 2;
  expect(queue.stepFrom(-1)).toBe(2);
  expect(queue.stepFrom(1)).toBe(1);
  expect(queue.stepFrom(5)).toBe(1);
});

test("only the rows in sight are drawn", () => {
  expect(inSight(10_000, 0, 800, 80)).toEqual([0, 16]);
  expect(inSight(10_000, 80_000, 800, 80)).toEqual([994, 1016]);
  expect(inSight(10_000, 799_200, 800, 80)).toEqual([9984, 10_000]);
  expect(inSight(3, 0, 800, 80)).toEqual([0, 3]);
  expect(inSight(0, 0, 800, 80)).toEqual([0, 0]);
});
