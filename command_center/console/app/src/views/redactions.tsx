/** Redactions: how pictures are given away. Supervisors and administrators decide; exports follow; the original stays. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { plural, words } from "../model/format";
import type { Redaction } from "../wire/custody_shapes";
import type { Incident } from "../wire/shapes";
import { useAnswer } from "./answer";
import { attempt } from "./attempt";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { useOnce } from "./once";
import { Time } from "./time";

export function Redactions(): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<{ redactions: Redaction[] }>("/redactions");
  const [notice, setNotice] = useState("");
  const mayDecide = may(desk, "evidence.hold");
  const found = (answer.value?.redactions ?? []).filter((one) => one.mode !== "");
  const act = useAct(answer.again, setNotice);
  return (
    <>
      <p class="notice" role="status">{notice}</p>
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {mayDecide && <RedactForm act={act} />}
      {mayDecide && <p class="hint">An incident's own pictures are redacted in its details; any other by its SHA-256. A clip can only be withheld.</p>}
      {answer.value && found.length === 0 && <p class="empty">Every picture is given away as it is.</p>}
      {found.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Redactions"><table class="table">
        <thead><tr><th>Picture (SHA-256)</th><th>How</th><th>By</th><th>Why</th><th>Since</th>{mayDecide && <th>As it is again</th>}</tr></thead>
        <tbody>{found.map((one) => (
          <tr key={one.sha256}>
            <th scope="row" class="mono">{one.sha256}</th>
            <td>{howWords(one)}</td>
            <td>{one.by}</td><td class="pre">{one.reason}</td><td><Time at={one.at_ms} /></td>
            {mayDecide && <td><Withdraw one={one} act={act} /></td>}
          </tr>
        ))}</tbody>
      </table></div>}
    </>
  );
}

/** In an incident's details: its own pictures, by name. */
export function RedactLine({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const pictures = picturesOf(incident);
  const mayLook = may(desk, "evidence.export") && pictures.length > 0;
  const answer = useAnswer<{ redactions: Redaction[] }>(mayLook ? "/redactions" : null);
  const [notice, setNotice] = useState("");
  const act = useAct(answer.again, setNotice);
  const made = (answer.value?.redactions ?? []).filter((one) => one.mode !== "" && pictures.some(({ sha256 }) => sha256 === one.sha256));
  if (!mayLook || (made.length === 0 && !may(desk, "evidence.hold"))) return null;
  return (
    <details class="aside redact">
      <summary>{made.length > 0 ? `Redacted: ${plural(made.length, "picture")}` : "Redact a picture"}</summary>
      <p class="notice" role="status">{notice}</p>
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      <ul class="lines">{made.map((one) => <li key={one.sha256}><span>{pictures.find(({ sha256 }) => sha256 === one.sha256)?.name}: {howWords(one)}, by {one.by}: {one.reason}</span>{may(desk, "evidence.hold") && <Withdraw one={one} act={act} />}</li>)}</ul>
      {may(desk, "evidence.hold") && <RedactForm act={act} pictures={pictures} />}
    </details>
  );
}

interface Named {
  sha256: string;
  name: string;
  isClip: boolean;
}

function picturesOf(incident: Incident): Named[] {
  const snapshots = [incident.snapshot_url, ...(incident.alerts ?? []).map((alert) => alert.snapshot_url)];
  const digests = new Set(snapshots.map((url) => /[0-9a-f]{64}$/.exec(url ?? "")?.[0]).filter((digest) => digest !== undefined));
  return [
    ...[...digests].map((sha256, at) => ({ sha256, name: `picture ${at + 1}`, isClip: false })),
    ...(incident.clips ?? []).map((clip, at) => ({ sha256: clip.sha256, name: `clip ${at + 1}`, isClip: true })),
  ];
}

function howWords(one: Redaction): string {
  return one.regions_px.length > 0 ? `${words(one.mode)}, ${plural(one.regions_px.length, "region")}: ${one.regions_px.map((region) => region.join(",")).join(" ")}` : words(one.mode);
}

function useAct(again: () => void, setNotice: (text: string) => void): Act {
  return (work, done) => attempt(async () => {
    await work();
    again();
    return done;
  }, setNotice);
}

type Act = (work: () => Promise<unknown>, done: string) => Promise<boolean>;

/** Regions are typed as on the command line; the picture's own size bounds them at the center. */
function RedactForm({ act, pictures }: { act: Act; pictures?: readonly Named[] }): JSX.Element {
  const desk = useDesk();
  const [chosen, setMode] = useState("black");
  const [sha256, setSha256] = useState(pictures?.[0]?.sha256 ?? "");
  const isClip = pictures?.find((one) => one.sha256 === sha256)?.isClip ?? false;
  const mode = isClip ? "withhold" : chosen;
  const [isBusy, once] = useOnce();
  const order = (form: HTMLFormElement) => {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const regions = text("regions").split(/[\s;]+/).filter(Boolean).map((region) => region.split(",").map(Number));
    return act(() => desk.center.send("PUT", `/redactions/${sha256.trim().toLowerCase()}`, { mode, regions_px: mode === "withhold" ? [] : regions, reason: text("reason") }), "Exports follow it from now on.").then((isDone) => {
      if (!isDone) return;
      form.reset();
      if (!pictures) setSha256("");
    });
  };
  return (
    <form class="line-form" aria-label="Redact a picture" onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      once(() => order(form));
    }}>
      {pictures
        ? <label>What <select value={sha256} onChange={(event) => setSha256(event.currentTarget.value)}>{pictures.map((one) => <option key={one.sha256} value={one.sha256}>{one.name}</option>)}</select></label>
        : <label>Picture (SHA-256) <input class="mono" required pattern="[0-9a-fA-F]{64}" maxLength={64} size={40} autocomplete="off" value={sha256} onInput={(event) => setSha256(event.currentTarget.value)} /></label>}
      <label>How <select value={mode} onChange={(event) => setMode(event.currentTarget.value)}>{!isClip && <><option value="black">black out</option><option value="blur">blur</option></>}<option value="withhold">withhold</option></select></label>
      {mode !== "withhold" && <label>Regions, pixels <input name="regions" required pattern="\s*\d+(,\d+){3}([\s;]+\d+(,\d+){3})*\s*" maxLength={600} placeholder="left,top,width,height …" autocomplete="off" /></label>}
      <label>Reason <input name="reason" required maxLength={500} placeholder="The rule or the order" autocomplete="off" /></label>
      <button type="submit" class="button" aria-disabled={isBusy}>Redact</button>
    </form>
  );
}

function Withdraw({ one, act }: { one: Redaction; act: Act }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  return (
    <form class="line-form lift" aria-label={`Give ${one.sha256.slice(0, 8)} away as it is`} onSubmit={(event) => {
      event.preventDefault();
      const reason = String(new FormData(event.currentTarget).get("reason")).trim();
      once(() => act(() => desk.center.send("DELETE", `/redactions/${one.sha256}?reason=${encodeURIComponent(reason)}`), "It is given away as it is again."));
    }}>
      <input name="reason" required maxLength={500} aria-label={`Why ${one.sha256.slice(0, 8)} is given away as it is`} placeholder="Who decided it" autocomplete="off" />
      <button type="submit" class="button quiet" aria-disabled={isBusy}>Withdraw<span class="visually-hidden"> the redaction of {one.sha256.slice(0, 8)}</span></button>
    </form>
  );
}
