/** A snapshot with the box of what was seen drawn over it. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import type { Incident } from "../wire/shapes";

/** A picture that does not come is asked for again: the line may have been cut. A center that refuses it does so each time. */
const AGAIN_AFTER_MS: readonly number[] = [3000, 10_000, 30_000, 60_000];

/** Four fractions of the frame that enclose something; all zero means that there is no box. */
function isBox(box: number[] | null | undefined): box is [number, number, number, number] {
  return Array.isArray(box) && box.length === 4 && box.every(Number.isFinite) && (box[2] as number) > (box[0] as number) && (box[3] as number) > (box[1] as number);
}

export function Picture({ incident, class: name }: { incident: Incident; class: string }): JSX.Element {
  const [loaded, setLoaded] = useState<{ url: string; width: number; height: number } | null>(null);
  const [failed, setFailed] = useState("");
  const [tries, setTries] = useState(0);
  const url = incident.snapshot_url;
  useEffect(() => setTries(0), [url]);
  useEffect(() => {
    const waitMs = failed === url ? AGAIN_AFTER_MS[tries] : undefined;
    if (waitMs === undefined) return undefined;
    const timer = setTimeout(() => {
      setTries(tries + 1);
      setFailed("");
    }, waitMs);
    return () => clearTimeout(timer);
  }, [failed, url, tries]);
  const size = loaded?.url === url ? loaded : null;
  const isTall = size !== null && size.height * 16 > size.width * 9 * 1.02;
  const said = !url ? "No picture yet" : failed === url ? (AGAIN_AFTER_MS[tries] === undefined ? "Picture not available" : "Picture not available, trying again") : size ? "" : "Loading picture";
  return (
    <span class={`picture ${name}${isTall ? " tall" : ""}`}>
      <span class="picture-frame" style={size ? { aspectRatio: `${size.width} / ${size.height}` } : {}}>
        {url && failed !== url && (
          <img key={`${url} ${tries}`} src={url} alt={`Snapshot: ${incident.label} at ${incident.camera}`} decoding="async"
            onLoad={(event) => setLoaded({ url, width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })}
            onError={() => setFailed(url)} />
        )}
        {url && failed !== url && isBox(incident.box_xyxy) && <Box corners={incident.box_xyxy} />}
      </span>
      <span class="picture-words">{said}</span>
    </span>
  );
}

function Box({ corners: [left, top, right, bottom] }: { corners: [number, number, number, number] }): JSX.Element {
  const edges = { x: left * 100, y: top * 100, width: (right - left) * 100, height: (bottom - top) * 100 };
  return (
    <svg class="picture-box" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
      <rect {...edges} class="picture-box-under" vector-effect="non-scaling-stroke" />
      <rect {...edges} class="picture-box-over" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
