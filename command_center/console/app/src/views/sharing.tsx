/** Mutual aid: one incident shown to another agency, for a while, by a link that is shown once. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { wordsOf } from "../wire/center";
import type { Share } from "../wire/dispatch_shapes";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { useOnce } from "./once";
import { Time } from "./time";

export function Sharing({ incident, shares, tell }: { incident: Incident; shares: readonly Share[]; tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const [link, setLink] = useState("");
  const form = useRef<HTMLFormElement>(null);
  const [isBusy, once] = useOnce();
  const open = shares.filter((share) => share.ended_at_ms === null);
  const share = async () => {
    const given = new FormData(form.current ?? undefined);
    try {
      const made = await desk.center.send<{ url: string }>("POST", `/incidents/${incident.id}/shares`, { agency: String(given.get("agency")).trim(), reason: String(given.get("reason")).trim(), minutes: Number(given.get("minutes")) });
      setLink(made.url);
      form.current?.reset();
      tell("");
    } catch (error) {
      tell(`Not shared. ${wordsOf(error)}`);
    }
  };
  const end = async (id: number) => {
    try {
      await desk.center.send("POST", `/incidents/${incident.id}/shares/${id}/revoke`, { reason: "" });
      tell("");
    } catch (error) {
      tell(`Not ended. ${wordsOf(error)}`);
    }
  };
  return (
    <details class="sharing" open={open.length > 0}>
      <summary>Share with another agency{open.length > 0 ? `: ${open.map((one) => one.agency).join(", ")}` : ""}</summary>
      <ul>
        {open.map((one) => (
          <li key={one.id} class="plan-step"><span>{one.agency} until <Time at={one.until_ms} />: {one.reason} {one.opened_at_ms === null ? "(not opened yet)" : "(opened)"}</span>
            <button type="button" class="button quiet" aria-disabled={isBusy} onClick={() => once(() => end(one.id))}>End at once</button></li>
        ))}
      </ul>
      {link && <p class="notice">Give them this link; it is shown this once: <code class="link">{link}</code></p>}
      {incident.state !== "closed" && <form class="line-form" ref={form} aria-label="Share" onSubmit={(event) => {
        event.preventDefault();
        once(share);
      }}>
        <label>Agency <input name="agency" required maxLength={64} autocomplete="off" /></label>
        <label>Reason <input name="reason" required maxLength={500} autocomplete="off" /></label>
        <label>Minutes <input name="minutes" type="number" min="1" max="1440" value="60" required /></label>
        <button type="submit" class="button" aria-disabled={isBusy}>Share</button>
      </form>}
    </details>
  );
}
