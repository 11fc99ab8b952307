/** The form that says how one picture is given away: its regions are drawn on it. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import type { Region } from "../model/regions";
import type { Redaction, RedactionSubject } from "../wire/custody_shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { useOnce } from "./once";
import { RegionPicker } from "./region_picker";

export interface Named {
  sha256: string;
  name: string;
  isClip: boolean;
}

export type Act = (work: () => Promise<unknown>, done: string) => Promise<boolean>;

/** @param made What is redacted already: it is shown, to be changed. @param pictures Of these; otherwise any, by its SHA-256. */
export function RedactForm({ act, made, pictures }: { act: Act; made: readonly Redaction[]; pictures?: readonly Named[] }): JSX.Element {
  const desk = useDesk();
  const [typed, setSha256] = useState(pictures?.[0]?.sha256 ?? "");
  const [chosen, setMode] = useState("black");
  const [regions, setRegions] = useState<Region[]>([]);
  const [problem, setProblem] = useState("");
  const [isBusy, once] = useOnce();
  const sha256 = typed.trim().toLowerCase();
  const answer = useAnswer<RedactionSubject>(/^[0-9a-f]{64}$/.test(sha256) ? `/redactions/${sha256}` : null);
  const subject = answer.value?.sha256 === sha256 ? answer.value : null;
  const named = pictures?.find((one) => one.sha256 === sha256);
  const isClip = subject ? !subject.media_type.startsWith("image/") : named?.isClip ?? false;
  const mode = isClip ? "withhold" : chosen;
  const held = made.find((one) => one.sha256 === sha256);
  useEffect(() => {
    setRegions(held ? [...held.regions_px] : []);
    if (held) setMode(held.mode);
  }, [sha256, held?.entry]);
  useEffect(() => setProblem(""), [sha256, mode, regions.length]);
  const order = (form: HTMLFormElement) => {
    const reason = String(new FormData(form).get("reason") ?? "").trim();
    return act(() => desk.center.send("PUT", `/redactions/${sha256}`, { mode, regions_px: mode === "withhold" ? [] : regions, reason }), "Exports follow it from now on.").then((isDone) => {
      if (!isDone) return;
      form.reset();
      if (!pictures) setSha256("");
    });
  };
  return (
    <form class="line-form" aria-label="Redact a picture" onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      if (mode !== "withhold" && regions.length === 0) setProblem("Draw at least one region first, or withhold the whole picture.");
      else once(() => order(form));
    }}>
      {pictures
        ? <label>What <select value={sha256} onChange={(event) => setSha256(event.currentTarget.value)}>{pictures.map((one) => <option key={one.sha256} value={one.sha256}>{one.name}</option>)}</select></label>
        : <label>Picture (SHA-256) <input class="mono" required pattern="\s*[0-9a-fA-F]{64}\s*" maxLength={80} size={40} autocomplete="off" value={typed} onInput={(event) => setSha256(event.currentTarget.value)} /></label>}
      <label>How <select value={mode} onChange={(event) => setMode(event.currentTarget.value)}>{!isClip && <><option value="black">black out</option><option value="blur">blur</option></>}<option value="withhold">withhold</option></select></label>
      {answer.problem && <p class="form-problem" role="alert">{answer.problem}</p>}
      {subject && isClip && <Withheld subject={subject} />}
      {subject && !isClip && mode !== "withhold" && (
        <RegionPicker key={sha256} src={subject.is_here ? `/api/v1/snapshots/${sha256}` : null} name={named ? named.name : `Picture ${sha256.slice(0, 8)}`}
          size={{ width: subject.width_px, height: subject.height_px }} mode={mode} regions={regions} onChange={setRegions} />
      )}
      <label>Reason <input name="reason" required maxLength={500} placeholder="The rule or the order" autocomplete="off" /></label>
      <button type="submit" class="button primary" aria-disabled={isBusy || !subject}>{held ? "Change the redaction" : "Redact"}</button>
      <p class="form-problem wide-label" role="alert">{problem}</p>
    </form>
  );
}

/** A clip is not encoded anew at a center, so nothing within it can be covered: its still says which one is meant. */
function Withheld({ subject }: { subject: RedactionSubject }): JSX.Element {
  return (
    <div class="regions">
      {subject.is_here && <video class="clip" controls preload="metadata" src={`/api/v1/clips/${subject.sha256}`} aria-label="The clip that is to be withheld" />}
      <p class="hint">A clip is withheld whole: nothing within it can be covered at a center.</p>
    </div>
  );
}
