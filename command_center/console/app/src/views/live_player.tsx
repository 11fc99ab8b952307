/** Live video of the incident's camera, in the details: asked for by a person, said to be old when it is, ended with the pane. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { OLD_AFTER_MS, rungWords, statusLine } from "../live/readings";
import { Viewing } from "../live/viewing";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { may } from "./may";

export function LivePlayer({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const [, draw] = useState(0);
  const viewing = useRef<Viewing | null>(null);
  useEffect(() => () => viewing.current?.stop(), []);
  if (!may(desk, "video.watch")) return null;
  const watch = () => {
    viewing.current?.stop();
    viewing.current = new Viewing(desk.center, incident.node.id, incident.camera, `incident ${incident.number}`, incident.id, () => draw((count) => count + 1));
    draw((count) => count + 1);
    void viewing.current.start();
  };
  const now = viewing.current;
  const isOver = !now || now.phase === "over";
  return (
    <section class="live" aria-label="Live video" data-phase={now?.phase ?? "none"} data-rung={now?.rung}>
      <div class="live-head">
        <h3 class="live-title">{now && !isOver ? (now.phase === "connecting" ? "Connecting" : rungWords(now.rung || "main")) : "Live video"}{!now && <span class="hint"> · it is written to the journal that you watched, and for which incident</span>}</h3>
        {isOver
          ? <button type="button" class="button" onClick={watch}>{now ? "Watch again" : `Watch ${incident.camera} live`}</button>
          : <button type="button" class="button quiet" onClick={() => now.stop()}>Stop watching</button>}
      </div>
      {now && !isOver && <Screen viewing={now} camera={incident.camera} />}
      {now && isOver && now.why && <p class="form-problem" role="alert">{now.why}</p>}
    </section>
  );
}

function Screen({ viewing, camera }: { viewing: Viewing; camera: string }): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const screen = video.current;
    if (!screen || !viewing.stream) return undefined;
    screen.srcObject = viewing.stream;
    void screen.play().catch(() => undefined); // it is muted: only a browser without any autoplay refuses, and then shows its button
    let handle = 0;
    const frame = (_: number, metadata: VideoFrameCallbackMetadata) => {
      viewing.shown(metadata as { captureTime?: number; receiveTime?: number });
      handle = screen.requestVideoFrameCallback(frame);
    };
    handle = screen.requestVideoFrameCallback(frame);
    return () => screen.cancelVideoFrameCallback(handle);
  }, [viewing, viewing.stream]);
  const age = viewing.ageMs;
  const isOld = age !== null && age > OLD_AFTER_MS;
  return (
    <>
      <div class={`live-screen${isOld ? " old" : ""}`}>
        <video ref={video} muted autoplay playsInline hidden={viewing.phase === "stills"} aria-label={`Live video of ${camera}`} />
        {viewing.phase === "stills" && viewing.still && <img src={viewing.still} alt={`The newest picture of ${camera}`} />}
      </div>
      <p class="live-old" role="status">{isOld ? `Not live: this picture is ${Math.round((age ?? 0) / 1000)} s old.` : ""}</p>
      <p class="hint live-status">{statusLine(viewing.phase === "video" ? viewing.reading : null, age, viewing.joinMs)}{viewing.encoded && ` · encoded by the node: ${viewing.encoded}`}</p>
      {viewing.why && viewing.rung !== "main" && <p class="hint">{viewing.why}</p>}
    </>
  );
}
