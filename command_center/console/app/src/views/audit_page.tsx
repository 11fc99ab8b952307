/** The auditor's page: the journal searched, who looked at what, evidence exported and verified, what is held, redacted, witnessed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { localTime, plural, utcTime } from "../model/format";
import { wordsOf } from "../wire/center";
import type { AuditEntry, AuditKind, IndexLag, Look } from "../wire/audit_shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Exports } from "./exports";
import { HoldsPane } from "./holds";
import { may } from "./may";
import { Redactions } from "./redactions";
import { Verify } from "./verify";
import { Witnesses } from "./witnesses";

const TABS = ["Search", "Who looked", "Witnesses", "Export", "Verify", "Holds", "Redactions"] as const;

export function AuditPage(): JSX.Element {
  const desk = useDesk();
  const [tab, setTab] = useState<(typeof TABS)[number]>("Search");
  const tabs = may(desk, "evidence.export") ? TABS : TABS.slice(0, 3);
  return (
    <main id="page" tabIndex={-1} class="page" aria-labelledby="audit-title">
      <div class="page-head">
        <h2 id="audit-title">Audit</h2>
        <div class="segmented" role="group" aria-label="Audit">
          {tabs.map((name) => <button key={name} type="button" aria-pressed={tab === name} onClick={() => setTab(name)}>{name}</button>)}
        </div>
      </div>
      {tab === "Search" && <Search key="entries" path="/audit/entries" />}
      {tab === "Who looked" && <Search key="looks" path="/audit/looks" />}
      {tab === "Witnesses" && <Witnesses />}
      {tab === "Export" && <Exports />}
      {tab === "Verify" && <Verify />}
      {tab === "Holds" && <HoldsPane />}
      {tab === "Redactions" && <Redactions />}
    </main>
  );
}

/** Less is looked through before anybody notices. */
const LAG_SAID = 500;

function lagWords(lag: IndexLag | null): string {
  if (!lag || lag.entries < LAG_SAID) return "";
  const behind = lag.until_ms === null ? "The search index holds nothing yet" : `The search index is ${plural(lag.entries, "entry", "entries")} behind: it goes until ${utcTime(lag.until_ms)}`;
  return `${behind}. What is newer is looked through entry by entry: a search takes longer, and leaves nothing out.`;
}

/** The same from both searches. */
function entryOf(look: Look): AuditEntry {
  return { ...look, actor: look.who, kind: look.what };
}

/** A search through the journal, newest first, page by page. */
function Search({ path }: { path: "/audit/entries" | "/audit/looks" }): JSX.Element {
  const desk = useDesk();
  const [rows, setRows] = useState<AuditEntry[] | null>(null);
  const [isExact, setExact] = useState(false);
  const [before, setBefore] = useState<number | null>(null);
  const [asked, setAsked] = useState("");
  const [backTo, setBackTo] = useState<number | null>(null);
  const latest = useRef(0);
  const [problem, setProblem] = useState("");
  const [lag, setLag] = useState<IndexLag | null>(null);
  const ask = async (query: string, from: number | null) => {
    const number = (latest.current += 1);
    setProblem("");
    setAsked(query);
    if (from === null) setRows(null);
    try {
      // A search that takes long is answered in pieces: it goes on by itself until something is found.
      for (let next = from; ;) {
        const answer = await desk.center.get<{ entries?: AuditEntry[]; looks?: Look[]; next_before: number | null; not_indexed: IndexLag }>(`${path}?limit=100${query}${next === null ? "" : `&before=${next}`}`);
        if (number !== latest.current) return; // another search, or none, since
        const found = answer.entries ?? (answer.looks ?? []).map(entryOf);
        next = answer.next_before;
        setLag(answer.not_indexed);
        setBackTo(found.length === 0 ? next : null);
        if (found.length === 0 && next !== null) continue;
        setRows((held) => [...(held ?? []), ...found]);
        setBefore(next);
        return;
      }
    } catch (error) {
      if (number !== latest.current) return;
      setBackTo(null);
      setProblem(wordsOf(error));
    }
  };
  useEffect(() => () => { latest.current += 1; }, []);
  const submit = (form: HTMLFormElement) => {
    const given = new FormData(form);
    const query = new URLSearchParams();
    for (const name of ["text", "actor", "kind", "incident"]) {
      const value = String(given.get(name) ?? "").trim();
      if (value) query.set(name, name === "incident" ? String(Number(/\d+$/.exec(value)?.[0])) : value);
    }
    for (const [name, asks] of [["from", "from_ms"], ["until", "until_ms"]] as const) {
      const at = Date.parse(String(given.get(name) ?? ""));
      if (Number.isFinite(at)) query.set(asks, String(at));
    }
    void ask(query.size ? `&${query}` : "", null);
  };
  return (
    <>
      <form class="line-form" role="search" aria-label="Search the journal" onSubmit={(event) => {
        event.preventDefault();
        submit(event.currentTarget);
      }}>
        <label>Text <input name="text" type="search" maxLength={200} /></label>
        <label>Who <input name="actor" maxLength={80} title="A person, a node or a unit by name" placeholder="okafor, gate-01" autocomplete="off" /></label>
        <Kinds isLooks={path === "/audit/looks"} />
        <label>Incident <input name="incident" pattern="(INC-\d{4}-)?\d+" title="Its number: 12, or INC-2026-000012" placeholder="INC-2026-000012" maxLength={20} autocomplete="off" /></label>
        <label>From (local time) <input name="from" type="datetime-local" /></label>
        <label>Until (local time) <input name="until" type="datetime-local" /></label>
        <button type="submit" class="button primary">Search</button>
      </form>
      <p class="notice" role="status">{backTo === null ? "" : <>Searching: back to entry {backTo}. <button type="button" class="button quiet" onClick={() => {
        latest.current += 1;
        setBefore(backTo);
        setRows((held) => held ?? []);
        setBackTo(null);
      }}>Stop</button></>}</p>
      <p class="hint" role="status">{lagWords(lag)}</p>
      {!rows && !problem && backTo === null && <p class="hint">The journal, the newest entries first. A search without words shows all of it.</p>}
      {problem && <p class="notice problem" role="alert">{problem}</p>}
      {rows && rows.length > 0 && <label class="check exact"><input type="checkbox" checked={isExact} onChange={(event) => setExact(event.currentTarget.checked)} /> As written in the journal, for programs</label>}
      {rows && (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Entries"><table class="table entries">
          <thead><tr><th>Entry</th><th>When (UTC)</th><th>Who</th><th>What</th><th>About</th><th>Detail</th></tr></thead>
          <tbody>{rows.map((row) => (
            <tr key={row.id}>
              <td data-label="Entry">{row.id}</td><td data-label="When (UTC)" class="mono" title={`${localTime(row.at_ms, desk.today.value)} here`}>{utcTime(row.at_ms).replace(" UTC", "")}</td>
              <Words of="Who" shown={row.by} exact={row.actor} isExact={isExact} /><Words of="What" shown={row.said} exact={row.kind} isExact={isExact} /><Words of="About" shown={row.about} exact={row.subject} isExact={isExact} />
              <td data-label="Detail">{row.detail}</td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
      {rows?.length === 0 && <p class="empty">No entry matches.{before === null ? "" : " Older ones have not been searched yet."}</p>}
      {rows && before !== null && <button type="button" class="button" onClick={() => void ask(asked, before)}>Older entries</button>}
    </>
  );
}

/** A name or a kind for people; what the journal has for it is at hand, or shown instead. */
function Words({ of: column, shown, exact, isExact }: { of: string; shown: string; exact: string; isExact: boolean }): JSX.Element {
  return isExact ? <td data-label={column} class="mono" title={shown}>{exact}</td> : <td data-label={column} title={exact}>{shown}</td>;
}

/** What entries may be of, by their words. */
function Kinds({ isLooks }: { isLooks: boolean }): JSX.Element {
  const { value } = useAnswer<{ kinds: AuditKind[] }>("/audit/kinds");
  const kinds = (value?.kinds ?? []).filter((kind) => kind.is_look || !isLooks);
  return (
    <label>What <select name="kind">
      <option value="">anything</option>
      {kinds.map(({ kind, said }) => <option key={kind} value={kind}>{said}</option>)}
    </select></label>
  );
}
