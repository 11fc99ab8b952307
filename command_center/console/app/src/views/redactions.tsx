/** Redactions: how pictures are given away. Supervisors and administrators decide; exports follow; the original stays. */

import type { JSX } from "preact";
import { Fragment } from "preact";
import { useState } from "preact/hooks";

import { plural, words } from "../model/format";
import type { Redaction, RedactionSubject } from "../wire/custody_shapes";
import type { Incident } from "../wire/shapes";
import { useAnswer } from "./answer";
import { attempt } from "./attempt";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { type Act, type Named, RedactForm } from "./redact_form";
import { RegionsShown } from "./region_picker";
import { Time } from "./time";

export function Redactions(): JSX.Element {
  const desk = useDesk();
  const answer = useAnswer<{ redactions: Redaction[] }>("/redactions");
  const [notice, setNotice] = useNotice();
  const [shown, setShown] = useState("");
  const mayDecide = may(desk, "evidence.hold");
  const found = (answer.value?.redactions ?? []).filter((one) => one.mode !== "");
  const act = useAct(answer.again, setNotice);
  return (
    <>
      <Notice said={notice} />
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {mayDecide && <RedactForm act={act} made={found} />}
      {mayDecide && <p class="hint">An incident's own pictures are redacted in its details; any other by its SHA-256. A clip can only be withheld.</p>}
      {answer.value && found.length === 0 && <p class="empty">Every picture is given away as it is.</p>}
      {found.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Redactions"><table class="table">
        <thead><tr><th>Picture</th><th>How</th><th>By</th><th>Why</th><th>Since</th>{mayDecide && <th>As it is again</th>}</tr></thead>
        <tbody>{found.map((one) => (
          <Fragment key={one.sha256}>
            <tr>
              <th scope="row"><span class="redacted-of">{one.incidents.join(", ") || "No incident of this center"} <button type="button" class="button quiet" aria-expanded={shown === one.sha256} onClick={() => setShown(shown === one.sha256 ? "" : one.sha256)}>{shown === one.sha256 ? "Hide" : "Show"}<span class="visually-hidden"> {one.sha256.slice(0, 8)}</span></button></span><span class="mono" title="SHA-256">{one.sha256}</span></th>
              <td data-label="How">{howWords(one)}</td>
              <td data-label="By">{one.by}</td><td data-label="Why" class="pre">{one.reason}</td><td data-label="Since"><Time at={one.at_ms} /></td>
              {mayDecide && <td data-label="As it is again"><Withdraw one={one} act={act} /></td>}
            </tr>
            {shown === one.sha256 && <tr><td colSpan={mayDecide ? 6 : 5}><GivenAway one={one} /></td></tr>}
          </Fragment>
        ))}</tbody>
      </table></div>}
    </>
  );
}

/** What of a picture is given away, on the picture. Looking at it is an entry of the journal, as always. */
function GivenAway({ one }: { one: Redaction }): JSX.Element {
  const answer = useAnswer<RedactionSubject>(`/redactions/${one.sha256}`);
  const subject = answer.value;
  const isPicture = subject?.media_type.startsWith("image/");
  return (
    <div class="given-away">
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {subject && one.mode === "withhold" && <p class="hint">{isPicture ? "The picture" : "The clip"} is withheld whole: nothing of it is given away.</p>}
      {subject && !subject.is_here && <p class="hint">It is not at this center: it has not come, or its time was over.</p>}
      {subject?.is_here && isPicture && <RegionsShown src={`/api/v1/snapshots/${one.sha256}`} name={`Picture ${one.sha256.slice(0, 8)}`} size={{ width: subject.width_px, height: subject.height_px }} mode={one.mode} regions={one.regions_px} />}
    </div>
  );
}

/** In an incident's details: its own pictures, by name. */
export function RedactLine({ incident }: { incident: Incident }): JSX.Element | null {
  const desk = useDesk();
  const pictures = picturesOf(incident);
  const mayLook = may(desk, "evidence.export") && pictures.length > 0;
  const answer = useAnswer<{ redactions: Redaction[] }>(mayLook ? "/redactions" : null);
  const [notice, setNotice] = useNotice();
  const act = useAct(answer.again, setNotice);
  const made = (answer.value?.redactions ?? []).filter((one) => one.mode !== "" && pictures.some(({ sha256 }) => sha256 === one.sha256));
  if (!mayLook || (made.length === 0 && !may(desk, "evidence.hold"))) return null;
  return (
    <details class="aside redact">
      <summary>{made.length > 0 ? `Redacted: ${plural(made.length, "picture")}` : "Redact a picture"}</summary>
      <Notice said={notice} />
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      <ul class="lines">{made.map((one) => <li key={one.sha256}><span>{pictures.find(({ sha256 }) => sha256 === one.sha256)?.name}: {howWords(one)}, by {one.by}: {one.reason}</span>{may(desk, "evidence.hold") ? <Withdraw one={one} act={act} /> : <GivenAway one={one} />}</li>)}</ul>
      {may(desk, "evidence.hold") && <RedactForm act={act} made={made} pictures={pictures} />}
    </details>
  );
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
