/** The regions of a picture as numbers: one line each, for whoever sees no picture or wants an exact edge. */

import type { JSX } from "preact";

import type { Region, Size } from "../model/regions";

const EDGES = ["Left", "Top", "Width", "Height"] as const;

export function RegionNumbers({ regions, size, onPut, onSettle, onRemove }: {
  regions: readonly Region[];
  size: Size;
  /** While somebody types. */
  onPut: (at: number, region: Region) => void;
  /** When they are done with a number. */
  onSettle: (at: number, region: Region) => void;
  onRemove: (at: number) => void;
}): JSX.Element | null {
  if (regions.length === 0) return null;
  return (
    <ol class="region-numbers" aria-label="Regions, in pixels of the picture">
      {regions.map((region, at) => (
        <li key={at}>
          <fieldset>
            <legend>Region {at + 1}</legend>
            {EDGES.map((edge, index) => {
              const change = (text: string): Region | null => (/^\d+$/.test(text) ? region.map((held, which) => (which === index ? Number(text) : held)) as Region : null);
              return (
                <label key={edge}>{edge} <input type="number" required step={1} min={index < 2 ? 0 : 1} max={(index % 2 ? size.height : size.width) - (index < 2 ? 1 : 0)} value={region[index]}
                  onInput={(event) => {
                    const changed = change(event.currentTarget.value);
                    if (changed) onPut(at, changed);
                  }}
                  onChange={(event) => {
                    const changed = change(event.currentTarget.value);
                    if (changed) onSettle(at, changed);
                  }} /></label>
              );
            })}
            <button type="button" class="button quiet" onClick={() => onRemove(at)}>Remove<span class="visually-hidden"> region {at + 1}</span></button>
          </fieldset>
        </li>
      ))}
    </ol>
  );
}
