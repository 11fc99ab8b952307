/** The clips of an incident, played where they stand; what has not arrived yet says so. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { bytes, localTime } from "../model/format";
import type { ClipFacts } from "../wire/shapes";
import { useDesk } from "./desk_context";

export function Clips({ clips }: { clips: readonly ClipFacts[] }): JSX.Element | null {
  if (clips.length === 0) return null;
  return (
    <section class="clips" aria-label="Clips">
      <h3>{clips.length === 1 ? "Clip" : "Clips"}</h3>
      {clips.map((clip) => <Clip key={clip.sha256} clip={clip} />)}
    </section>
  );
}

function Clip({ clip }: { clip: ClipFacts }): JSX.Element {
  const desk = useDesk();
  const [failed, setFailed] = useState(false);
  const facts = `from ${localTime(clip.begins_at_ms, desk.today.value)} by the node's clock, ${bytes(clip.size_bytes)}`;
  if (!clip.url) return <p class="hint">Not here yet: {facts}. Alerts go first; it follows.</p>;
  return (
    <figure>
      <video class="clip" controls preload="metadata" src={clip.url} aria-label={`Clip ${facts}`} onError={() => setFailed(true)} />
      {failed && <p class="form-problem" role="alert">This browser can't play the clip. The file is intact: download it below.</p>}
      <figcaption>{facts} · <a href={clip.url} download={`${clip.sha256.slice(0, 16)}.mp4`}>Download</a></figcaption>
    </figure>
  );
}
