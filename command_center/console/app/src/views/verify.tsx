/** A bag checked by the center: what was proven, or the first byte that is wrong. Nothing of it is kept. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { bytes } from "../model/format";
import { wordsOf } from "../wire/center";
import type { Verification } from "../wire/audit_shapes";
import { useDesk } from "./desk_context";

export function Verify(): JSX.Element {
  const desk = useDesk();
  const [found, setFound] = useState<Verification | null>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState("");
  const check = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const bag = given.get("bag");
    if (!(bag instanceof File) || bag.size === 0) {
      setProblem("Choose the ZIP of an export first.");
      return;
    }
    setProblem("");
    setFound(null);
    setBusy(`Checking ${bag.name}, ${bytes(bag.size)}…`);
    try {
      const query = new URLSearchParams({ name: bag.name, authority: String(given.get("authority") ?? "").trim() });
      setFound(await desk.center.upload<Verification>(`/verifications?${query}`, bag));
    } catch (error) {
      setProblem(wordsOf(error));
    } finally {
      setBusy("");
    }
  };
  return (
    <>
      <form class="line-form" aria-label="Verify a bag" onSubmit={(event) => {
        event.preventDefault();
        void check(event.currentTarget);
      }}>
        <label>Bag (ZIP) <input name="bag" type="file" accept=".zip,application/zip" /></label>
        <label>Authority's fingerprint <input name="authority" maxLength={100} autocomplete="off" placeholder="optional" /></label>
        <button type="submit" class="button primary" disabled={busy !== ""}>Verify</button>
      </form>
      <p class="hint" role="status">{busy}</p>
      {problem && <p class="notice problem" role="alert">{problem}</p>}
      {found && (
        <section class="card" aria-label="Outcome">
          <h3 class={found.passed ? "passed" : "failed"}>{found.passed ? `✓ ${found.name}: all as written` : `× ${found.name}: not as written`}</h3>
          {found.problem && <p class="form-problem">{found.problem}</p>}
          <ul class="lines">{found.claims.map((claim) => <li key={claim}><span>✓ {claim}</span></li>)}</ul>
        </section>
      )}
    </>
  );
}
