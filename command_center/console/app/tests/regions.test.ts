import { describe, expect, it } from "vitest";

import { between, fresh, isClick, moved, pointAt, resized, within } from "../src/model/regions";

const SIZE = { width: 640, height: 360 };

describe("regions of a picture", () => {
  it("are in the picture's own pixels, however large it is shown", () => {
    const shown = { left: 100, top: 50, width: 320, height: 180 };
    expect(pointAt(260, 140, shown, SIZE)).toEqual({ x: 320, y: 180 });
    expect(pointAt(0, 900, shown, SIZE)).toEqual({ x: 0, y: 360 });
    expect(pointAt(5, 5, { left: 0, top: 0, width: 0, height: 0 }, SIZE)).toEqual({ x: 0, y: 0 });
  });

  it("cover every pixel that was touched, drawn in any direction", () => {
    const [one, other] = [{ x: 10.7, y: 20.2 }, { x: 40.1, y: 60.9 }];
    expect(between(one, other, SIZE)).toEqual([10, 20, 31, 41]);
    expect(between(other, one, SIZE)).toEqual([10, 20, 31, 41]);
    expect(between({ x: 640, y: 360 }, { x: 640, y: 360 }, SIZE)).toEqual([639, 359, 1, 1]);
  });

  it("tell a click from a drawing", () => {
    expect(isClick({ x: 10, y: 10 }, { x: 11, y: 10 }, SIZE)).toBe(true);
    expect(isClick({ x: 10, y: 10 }, { x: 10, y: 40 }, SIZE)).toBe(false);
  });

  it("never leave the picture and never vanish", () => {
    expect(within([-5, 350, 20, 40], SIZE)).toEqual([0, 320, 20, 40]);
    expect(within([Number.NaN, 0, 9999, 0], SIZE)).toEqual([0, 0, 640, 1]);
    expect(moved([600, 0, 40, 40], 10, -10, SIZE)).toEqual([600, 0, 40, 40]);
    expect(resized([600, 300, 40, 40], 10, -100, SIZE)).toEqual([600, 300, 40, 1]);
  });

  it("begin in the middle, each where it can be told from the last", () => {
    expect(fresh(0, SIZE)).toEqual([256, 144, 128, 72]);
    expect(fresh(1, SIZE)).not.toEqual(fresh(0, SIZE));
    for (let count = 0; count < 70; count += 1) expect(within(fresh(count, SIZE), SIZE)).toEqual(fresh(count, SIZE));
    expect(fresh(3, { width: 1, height: 1 })).toEqual([0, 0, 1, 1]);
  });
});
