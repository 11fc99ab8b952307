/** Redactions: how pictures are given away. Supervisors and administrators decide; exports follow; the original stays. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { plural, words } from "../model/format";
import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";
import type { Redaction } from "../wire/custody_shapes";
import { useAnswer } from "./answer";
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
  const act = async (work: () => Promise<unknown>, done: string) => {
    try {
      await work();
      answer.again();
      setNotice(done);
      announce(done);
      return true;
    } catch (error) {
      setNotice(`Not done. ${wordsOf(error)}`);
      announce(`Not done. ${wordsOf(error)}`, { isUrgent: true });
      return false;
    }
  };
  return (
    <>
      <p class="notice" role="status">{notice}</p>
      {answer.problem && <p class="notice problem" role="alert">{answer.problem}</p>}
      {mayDecide && <RedactForm act={act} />}
      {mayDecide && <p class="hint">Which picture: search the journal for the incident; its pictures stand there as object:SHA-256, and a clip can only be withheld.</p>}
      {answer.value && found.length === 0 && <p class="empty">Every picture is given away as it is.</p>}
      {found.length > 0 && <div class="table-scroll" tabIndex={0} role="region" aria-label="Redactions"><table class="table">
        <thead><tr><th>Picture (SHA-256)</th><th>How</th><th>By</th><th>Why</th><th>Since</th>{mayDecide && <th>As it is again</th>}</tr></thead>
        <tbody>{found.map((one) => (
          <tr key={one.sha256}>
            <th scope="row" class="mono">{one.sha256}</th>
            <td>{words(one.mode)}{one.regions_px.length > 0 && <span class="hint">, {plural(one.regions_px.length, "region")}: {one.regions_px.map((region) => region.join(",")).join(" ")}</span>}</td>
            <td>{one.by}</td><td class="pre">{one.reason}</td><td><Time at={one.at_ms} /></td>
            {mayDecide && <td><Withdraw one={one} act={act} /></td>}
          </tr>
        ))}</tbody>
      </table></div>}
    </>
  );
}

type Act = (work: () => Promise<unknown>, done: string) => Promise<boolean>;

/** Regions are typed as on the command line; the picture's own size bounds them at the center. */
function RedactForm({ act }: { act: Act }): JSX.Element {
  const desk = useDesk();
  const [mode, setMode] = useState("black");
  const [isBusy, once] = useOnce();
  const order = (form: HTMLFormElement) => {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const regions = text("regions").split(/[\s;]+/).filter(Boolean).map((region) => region.split(",").map(Number));
    return act(() => desk.center.send("PUT", `/redactions/${text("sha256").toLowerCase()}`, { mode, regions_px: mode === "withhold" ? [] : regions, reason: text("reason") }), "Exports follow it from now on.").then((isDone) => isDone && form.reset());
  };
  return (
    <form class="line-form" aria-label="Redact a picture" onSubmit={(event) => {
      event.preventDefault();
      const form = event.currentTarget;
      once(() => order(form));
    }}>
      <label>Picture (SHA-256) <input name="sha256" class="mono" required pattern="[0-9a-fA-F]{64}" maxLength={64} size={40} autocomplete="off" /></label>
      <label>How <select name="mode" value={mode} onChange={(event) => setMode(event.currentTarget.value)}><option value="black">black out</option><option value="blur">blur</option><option value="withhold">withhold</option></select></label>
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
