/** Live video of the incident's camera, in the details: asked for by a person, said to be old when it is, ended with the pane. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { OLD_AFTER_MS, overWords, rungSign, rungWords, statusLine, waitingWords } from "../live/readings";
import { Viewing } from "../live/viewing";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { may } from "./may";

export function LivePlayer({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const [, draw] = useState(0);
  const viewing = useRef<Viewing | null>(null);
  const section = useRef<HTMLElement>(null);
  useEffect(() => () => viewing.current?.stop(), []);
  const phase = viewing.current?.phase ?? "over";
  const isOver = phase === "over";
  // In a low window the picture would open below the edge: whoever asks for it wants to see it, and again when it comes.
  useEffect(() => {
    if (!isOver) section.current?.scrollIntoView({ block: "nearest" });
  }, [phase]);
  if (!may(desk, "video.watch")) return null;
  const watch = () => {
    viewing.current?.stop();
    viewing.current = new Viewing(desk.center, incident.node.id, incident.camera, `incident ${incident.number}`, incident.id, () => draw((count) => count + 1));
    draw((count) => count + 1);
    void viewing.current.start();
  };
  const now = viewing.current;
  return (
    <section class="live" ref={section} aria-label="Live video" data-phase={now?.phase ?? "none"} data-rung={now?.rung}>
      <div class="live-head">
        <h3 class="live-title">{now && !isOver ? <State viewing={now} /> : "Live video"}{!now && <span class="hint"> · it is written to the journal that you watched, and for which incident</span>}</h3>
        {!now || isOver
          ? <button type="button" class="button" onClick={watch}>{now ? "Watch again" : `Watch ${incident.camera} live`}</button>
          : <button type="button" class="button quiet" onClick={() => now.stop()}>Stop watching</button>}
      </div>
      {now && !isOver && <Screen viewing={now} node={incident.node.name} camera={incident.camera} />}
      {now && isOver && (now.why ? <p class="form-problem" role="alert">{overWords(now.why, now.joinMs !== null)}</p> : <p class="hint" role="status">{overWords("", true)}</p>)}
    </section>
  );
}

/** In the heading, so that it is seen with the picture: what this is, and whether it is of now. */
function State({ viewing }: { viewing: Viewing }): JSX.Element {
  if (viewing.phase === "connecting") return <span class="live-state">… Connecting</span>;
  const age = viewing.ageMs ?? 0;
  if (age > OLD_AFTER_MS) return <span class="live-state old"><span role="status">○ Not live</span>: this picture is {Math.round(age / 1000)} s old</span>;
  const rung = viewing.rung || "main";
  return <span class="live-state" data-rung={rung}>{rungSign(rung)} {rungWords(rung)}</span>;
}

function Screen({ viewing, node, camera }: { viewing: Viewing; node: string; camera: string }): JSX.Element {
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
        <video ref={video} muted autoplay playsInline hidden={viewing.phase !== "video"} aria-label={`Live video of ${camera}`} />
        {viewing.phase === "connecting" && <p class="live-waiting"><span role="status">{waitingWords(node, viewing.isAnswered, viewing.waitedMs)}</span> {Math.floor(viewing.waitedMs / 1000)} s</p>}
        {viewing.phase === "stills" && viewing.still && <img src={viewing.still} alt={`The newest picture of ${camera}`} />}
      </div>
      <p class="hint live-status">{statusLine(viewing.phase === "video" ? viewing.reading : null, age, viewing.joinMs)}{viewing.encoded && ` · encoded by the node: ${viewing.encoded}`}</p>
      {viewing.why && viewing.rung !== "main" && <p class="hint">{viewing.why}</p>}
    </>
  );
}
