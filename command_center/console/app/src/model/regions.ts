/** Rectangles on a picture, in the picture's own pixels: whole numbers, at least one pixel, never beyond its edges. */

export type Region = [left: number, top: number, width: number, height: number];

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

const SMALLEST_DRAWN = 0.004;

/** A point of the picture for one of the screen; what lies outside counts as the edge. */
export function pointAt(clientX: number, clientY: number, shown: { left: number; top: number; width: number; height: number }, size: Size): Point {
  const along = (value: number, from: number, length: number) => (length > 0 ? Math.min(1, Math.max(0, (value - from) / length)) : 0);
  return { x: along(clientX, shown.left, shown.width) * size.width, y: along(clientY, shown.top, shown.height) * size.height };
}

/** From one corner to the opposite one, in whichever direction; rounded outward, so that no pixel that was meant is left out. */
export function between(one: Point, other: Point, size: Size): Region {
  const left = Math.floor(Math.min(one.x, other.x));
  const top = Math.floor(Math.min(one.y, other.y));
  return within([left, top, Math.ceil(Math.max(one.x, other.x)) - left, Math.ceil(Math.max(one.y, other.y)) - top], size);
}

/** Whether two corners are so near each other that nobody drew anything: a click. */
export function isClick(one: Point, other: Point, size: Size): boolean {
  return Math.abs(one.x - other.x) < size.width * SMALLEST_DRAWN && Math.abs(one.y - other.y) < size.height * SMALLEST_DRAWN;
}

/** The nearest region that the center takes. */
export function within([left, top, width, height]: Region, size: Size): Region {
  const [x, wide] = stretch(left, width, size.width);
  const [y, high] = stretch(top, height, size.height);
  return [x, y, wide, high];
}

function stretch(from: number, length: number, most: number): [number, number] {
  const whole = (value: number) => (Number.isFinite(value) ? Math.round(value) : 0);
  const long = Math.min(Math.max(1, whole(length)), most);
  return [Math.min(Math.max(0, whole(from)), most - long), long];
}

/** Shifted as it is; at an edge it stops. */
export function moved([left, top, width, height]: Region, right: number, down: number, size: Size): Region {
  return within([left + right, top + down, width, height], size);
}

/** Its right and lower edge shifted; its other corner stays. */
export function resized([left, top, width, height]: Region, right: number, down: number, size: Size): Region {
  return [left, top, Math.min(Math.max(1, width + right), size.width - left), Math.min(Math.max(1, height + down), size.height - top)];
}

/** A first one to be moved: a fifth of the picture, in its middle, a little aside for each that is there. */
export function fresh(count: number, size: Size): Region {
  const [width, height] = [size.width / 5, size.height / 5];
  const aside = (count % 5) * 0.06;
  return within([size.width * (0.4 + aside), size.height * (0.4 + aside), width, height], size);
}

/** `left 10, top 20, 30 wide, 40 high` */
export function regionWords([left, top, width, height]: Region): string {
  return `left ${left}, top ${top}, ${width} wide, ${height} high`;
}
