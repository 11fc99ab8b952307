/** The unit board: who is where, for how long, and what each may do next. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { sentence, words } from "../model/format";
import { goTo } from "../page";
import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";
import type { Unit } from "../wire/dispatch_shapes";
import { useDesk } from "./desk_context";
import { may, mayAct } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { PhoneLink } from "./phone_link";
import { Sure } from "./sure";
import { Age } from "./time";

/** Busy ones first: they are the ones to watch. */
const GROUPS: readonly (readonly [title: string, states: readonly string[]])[] = [
  ["At work", ["on_scene", "en_route", "accepted", "assigned"]], ["Free", ["available", "clear"]], ["Out of service", ["out_of_service"]],
];
/** In the order in which a unit goes through them. */
const STEPS = ["accepted", "en_route", "on_scene", "clear", "available", "out_of_service"];

export function inOrder(steps: readonly string[]): string[] {
  return [...steps].sort((one, other) => STEPS.indexOf(one) - STEPS.indexOf(other));
}

export const STATUS_SIGNS: Record<string, string> = { available: "○", assigned: "◔", accepted: "◑", en_route: "▶", on_scene: "●", clear: "◇", out_of_service: "×" };

export function UnitsPage(): JSX.Element {
  const desk = useDesk();
  const units = desk.units.all.value;
  const [notice, setNotice] = useNotice();
  const [link, setLink] = useState<{ unit: string; url: string } | null>(null);
  const tell = (text: string) => {
    setNotice(text);
    announce(text);
  };
  return (
    <main id="page" tabIndex={-1} class="page" aria-labelledby="units-title">
      <div class="page-head"><h2 id="units-title">Units</h2><p class="hint by-key">From anywhere: <kbd>/</kbd> <code>s M21 en route</code></p></div>
      <Notice said={notice} />
      {link && <PhoneLink {...link} close={() => setLink(null)} />}
      {units.length === 0 && <p class="empty">No unit is on the board yet.</p>}
      {GROUPS.map(([title, states]) => {
        const group = units.filter((unit) => states.includes(unit.status));
        return group.length > 0 && (
          <section key={title} class="board" aria-label={title}>
            <h3>{title} ({group.length})</h3>
            <ul>{group.map((unit) => <Row key={unit.name} unit={unit} tell={tell} give={setLink} />)}</ul>
          </section>
        );
      })}
      {mayAct(desk) && <NewUnit tell={tell} />}
    </main>
  );
}

function Row({ unit, tell, give }: { unit: Unit; tell: (text: string) => void; give: (link: { unit: string; url: string }) => void }): JSX.Element {
  const desk = useDesk();
  const [isPressed, once] = useOnce();
  const act = (doing: () => Promise<{ text: string }>) => once(async () => tell((await doing()).text));
  const makeLink = async () => {
    try {
      const { url } = await desk.center.send<{ url: string }>("POST", `/units/${encodeURIComponent(unit.name)}/link`, {});
      give({ unit: unit.name, url: new URL(url, location.href).href });
    } catch (error) {
      tell(`No link. ${wordsOf(error)}`);
    }
  };
  const retire = async () => {
    try {
      await desk.center.send("DELETE", `/units/${encodeURIComponent(unit.name)}`);
      tell(`${unit.name} is off the board; its history stays.`); // the stream takes its row away
    } catch (error) {
      tell(`Not taken off. ${wordsOf(error)}`);
    }
  };
  const isBusy = unit.incident !== null;
  return (
    <li class="unit" data-unit={unit.name} data-status={unit.status}>
      <span class="unit-name">{unit.name}</span>
      <span class="unit-status"><span aria-hidden="true">{STATUS_SIGNS[unit.status] ?? "?"}</span> {words(unit.status)} for <Age at={unit.status_at_ms} /></span>
      <span class="unit-where">
        {unit.incident !== null && <button type="button" class="button quiet" onClick={() => {
          desk.select(unit.incident);
          goTo("incidents");
        }}>Incident {unit.incident}</button>}
        {[unit.agency, ...unit.capabilities].filter(Boolean).join(" · ")}
      </span>
      <span class={`unit-heard${unit.welfare_level > 0 ? " overdue" : ""}`}>
        {unit.welfare_level > 0 && <strong>Not heard, reminder {unit.welfare_level}: </strong>}heard <Age at={unit.heard_at_ms} /> ago
      </span>
      <span class="unit-steps">
        {mayAct(desk) && <>
          {inOrder(unit.steps).filter((step) => step !== "assigned").map((step, at) => <button key={step} type="button" class={`button${at === 0 && isBusy ? " primary" : ""}`} aria-disabled={isPressed} aria-label={`${unit.name}: ${words(step)}`} onClick={() => act(() => desk.dispatch.setStatus(unit, step))}>{sentence(step)}</button>)}
          {isBusy && <button type="button" class="button quiet" aria-disabled={isPressed} aria-label={`${unit.name}: heard`} onClick={() => act(() => desk.dispatch.heard(unit))}>Heard</button>}
          {may(desk, "units.dispatch") && (isBusy
            ? <Sure class="button quiet" name="Phone link" label={`${unit.name}: phone link`} warning={`${unit.name} is at work: the link on its phone ends.`} yes="Make a new one" isBusy={isPressed} act={() => once(makeLink)} />
            : <button type="button" class="button quiet" aria-disabled={isPressed} aria-label={`${unit.name}: phone link`} onClick={() => once(makeLink)}>Phone link</button>)}
          {may(desk, "units.dispatch") && unit.status === "out_of_service" && <Sure class="button quiet" name="Take off the board" label={`${unit.name}: take off the board`} warning={`${unit.name} can't be sent any more, and its phone link ends.`} yes="Take it off" isBusy={isPressed} act={() => once(retire)} />}
        </>}
      </span>
    </li>
  );
}

function NewUnit({ tell }: { tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const form = useRef<HTMLFormElement>(null);
  const [isBusy, once] = useOnce();
  const add = async () => {
    const given = new FormData(form.current ?? undefined);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    try {
      const isThere = desk.units.called(text("name"))?.name === text("name");
      const unit = await desk.center.send<Unit>("POST", "/units", { name: text("name"), agency: text("agency"), capabilities: text("capabilities").split(/[\s,]+/).filter(Boolean) });
      desk.units.take(unit);
      form.current?.reset();
      tell(isThere
        ? `${unit.name} was on the board already; it is known now as: ${[unit.agency || "no agency", ...unit.capabilities].join(", ")}.`
        : `${unit.name} is on the board, out of service until somebody says that it is available.`);
    } catch (error) {
      tell(`Not added. ${wordsOf(error)}`);
    }
  };
  return (
    <form class="line-form" ref={form} aria-label="Put a unit on the board" onSubmit={(event) => {
      event.preventDefault();
      once(add);
    }}>
      <label>Unit <input name="name" required maxLength={64} autocomplete="off" /></label>
      <label>Agency <input name="agency" maxLength={64} autocomplete="off" /></label>
      <label>Can do <input name="capabilities" maxLength={200} autocomplete="off" placeholder="medic, k9" /></label>
      <button type="submit" class="button" aria-disabled={isBusy}>Put on the board</button>
    </form>
  );
}
