/**
 * A picture with the regions of it that are not given away: drawn with the mouse or a finger, moved and sized from the keyboard.
 *
 * Whatever is done by dragging is done without it as well: two clicks set two corners, and every edge has its number.
 */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { type Point, type Region, type Size, between, fresh, isClick, moved, pointAt, regionWords, resized, within } from "../model/regions";
import { announce } from "../sound/announcer";
import { RegionNumbers } from "./region_numbers";

export const MOST_REGIONS = 64;
/** A step of the arrow keys, as a part of the picture's width; with Ctrl it is one pixel. */
const STEP = 0.01;

type Grip = { what: "draw"; from: Point } | { what: "move" | "size"; at: number; from: Point; as: Region };

export function RegionPicker({ src, name, size, mode, regions, onChange }: {
  /** null: the picture is not here; regions are then given as numbers. */
  src: string | null;
  name: string;
  size: Size;
  mode: string;
  regions: readonly Region[];
  onChange: (regions: Region[]) => void;
}): JSX.Element {
  const [draft, setDraft] = useState<Region | null>(null);
  const [corner, setCorner] = useState<Point | null>(null);
  const [isBroken, setBroken] = useState(false);
  const stage = useRef<HTMLDivElement>(null);
  const adding = useRef<HTMLButtonElement>(null);
  const grip = useRef<Grip | null>(null);
  const saying = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const say = (text: string) => {
    clearTimeout(saying.current);
    saying.current = setTimeout(() => announce(text), 300); // a held key is one sentence
  };
  const put = (at: number, region: Region) => {
    onChange(regions.map((held, index) => (index === at ? region : held)));
    say(`Region ${at + 1}: ${regionWords(region)}`);
  };
  const add = (region: Region) => {
    if (regions.length >= MOST_REGIONS) {
      say(`There are ${MOST_REGIONS} regions; a picture takes no more. Withhold it instead.`);
      return;
    }
    onChange([...regions, region]);
    say(`Region ${regions.length + 1} added: ${regionWords(region)}`);
    focusChip(stage.current, regions.length);
  };
  const remove = (at: number) => {
    onChange(regions.filter((_, index) => index !== at));
    say(`Region ${at + 1} removed`);
    if (regions.length > 1) focusChip(stage.current, Math.min(at, regions.length - 2));
    else adding.current?.focus();
  };
  useEffect(() => () => clearTimeout(saying.current), []);
  useEscape(corner !== null, () => {
    setCorner(null);
    setDraft(null);
    say("The corner is forgotten");
  });

  const pointOf = (event: PointerEvent): Point => pointAt(event.clientX, event.clientY, stage.current?.getBoundingClientRect() ?? { left: 0, top: 0, width: 0, height: 0 }, size);
  const press = (event: PointerEvent) => {
    if (event.button !== 0 || !stage.current) return;
    const from = pointOf(event);
    const target = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-region]") : null;
    const at = Number(target?.dataset.region);
    const as = target && !corner ? regions[at] : undefined;
    grip.current = as ? { what: event.target instanceof Element && event.target.closest(".region-corner") ? "size" : "move", at, from, as } : { what: "draw", from: corner ?? from };
    stage.current.setPointerCapture(event.pointerId);
    if (!as) event.preventDefault(); // no picture dragged, no text marked
  };
  const drag = (event: PointerEvent) => {
    const held = grip.current;
    const to = pointOf(event);
    if (!held) {
      if (corner) setDraft(between(corner, to, size));
      return;
    }
    if (held.what === "draw") setDraft(between(held.from, to, size));
    else if (!isClick(held.from, to, size)) {
      const [right, down] = [Math.round(to.x - held.from.x), Math.round(to.y - held.from.y)];
      put(held.at, held.what === "move" ? moved(held.as, right, down, size) : resized(held.as, right, down, size));
    }
  };
  const release = (event: PointerEvent) => {
    const held = grip.current;
    grip.current = null;
    if (held?.what !== "draw") {
      if (held) focusChip(stage.current, held.at);
      return;
    }
    const to = pointOf(event);
    setDraft(null);
    if (!isClick(held.from, to, size)) {
      setCorner(null);
      add(between(held.from, to, size));
    } else if (corner) setCorner(null);
    else {
      setCorner(to);
      say("One corner is set. Click the opposite one.");
    }
  };
  const cancel = () => {
    grip.current = null;
    setDraft(null);
  };
  const key = (event: KeyboardEvent, at: number) => {
    const region = regions[at];
    const way = ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as Record<string, [number, number]>)[event.key];
    if (!region || (!way && event.key !== "Delete" && event.key !== "Backspace")) return;
    event.preventDefault();
    event.stopPropagation(); // the queue's arrows are not meant
    if (!way) {
      remove(at);
      return;
    }
    const step = event.ctrlKey || event.metaKey ? 1 : Math.max(1, Math.round(size.width * STEP));
    put(at, (event.shiftKey ? resized : moved)(region, way[0] * step, way[1] * step, size));
  };

  return (
    <div class="regions">
      {src !== null && !isBroken && (
        <div class="regions-stage drawn" ref={stage} data-mode={mode} style={stageStyle(size)} onPointerDown={press} onPointerMove={drag} onPointerUp={release} onPointerCancel={cancel}>
          <img src={src} alt={`${name}, to be redacted`} draggable={false} onError={() => setBroken(true)} />
          {regions.map((region, at) => (
            <span key={at} class="region" data-region={at} style={place(region, size)}>
              <button type="button" class="region-chip" aria-label={`Region ${at + 1} of ${regions.length}: ${regionWords(region)}`} aria-keyshortcuts="ArrowLeft ArrowRight ArrowUp ArrowDown Delete" onKeyDown={(event) => key(event, at)}>{at + 1}</button>
              <span class="region-corner" aria-hidden="true" />
            </span>
          ))}
          {draft && <span class="region draft" style={place(draft, size)} />}
          {corner && <span class="region-point" style={{ left: `${(corner.x / size.width) * 100}%`, top: `${(corner.y / size.height) * 100}%` }} />}
        </div>
      )}
      <p class="hint">{src === null || isBroken
        ? `The picture is not here to be drawn on: give its regions in pixels, within ${size.width} × ${size.height}.`
        : <>Drag over what must not be seen, or click two opposite corners. A region's number takes the keyboard: <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> move it, with <kbd>Shift</kbd> they size it, with <kbd>Ctrl</kbd> by one pixel; <kbd>Del</kbd> removes it.</>}</p>
      <RegionNumbers regions={regions} size={size} onPut={(at, region) => onChange(regions.map((held, index) => (index === at ? region : held)))} onSettle={(at, region) => put(at, within(region, size))} onRemove={remove} />
      <button type="button" class="button" ref={adding} aria-disabled={regions.length >= MOST_REGIONS} onClick={() => add(fresh(regions.length, size))}>Add a region</button>
    </div>
  );
}

/** The same picture for whoever may not change anything: how it is given away. */
export function RegionsShown({ src, name, size, mode, regions }: { src: string; name: string; size: Size; mode: string; regions: readonly Region[] }): JSX.Element {
  const [isBroken, setBroken] = useState(false);
  if (isBroken) return <p class="hint">The picture can't be shown.</p>;
  return (
    <div class="regions-stage" data-mode={mode} style={stageStyle(size)}>
      <img src={src} alt={`${name}. ${regions.map((region, at) => `Region ${at + 1}: ${regionWords(region)}`).join(". ") || mode}`} onError={() => setBroken(true)} />
      {regions.map((region, at) => <span key={at} class="region" aria-hidden="true" style={place(region, size)}><span class="region-chip">{at + 1}</span></span>)}
    </div>
  );
}

function stageStyle({ width, height }: Size): Record<string, string> {
  return { aspectRatio: `${width} / ${height}`, maxWidth: `calc(62vh * ${width / height})` };
}

function place([left, top, width, height]: Region, size: Size): Record<string, string> {
  return { left: `${(left / size.width) * 100}%`, top: `${(top / size.height) * 100}%`, width: `${(width / size.width) * 100}%`, height: `${(height / size.height) * 100}%` };
}

/** After the page is drawn anew. */
function focusChip(stage: HTMLElement | null, at: number): void {
  requestAnimationFrame(() => requestAnimationFrame(() => stage?.querySelectorAll<HTMLElement>("button.region-chip")[at]?.focus({ preventScroll: true })));
}

/** Escape ends what is half done, and nothing else with it. */
function useEscape(isOn: boolean, act: () => void): void {
  // With the drawing itself: a key that comes right after the click is meant for it already.
  useLayoutEffect(() => {
    if (!isOn) return undefined;
    const press = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      act();
    };
    document.addEventListener("keydown", press, { capture: true });
    return () => document.removeEventListener("keydown", press, { capture: true });
  }, [isOn]);
}
