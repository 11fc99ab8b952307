/** Who belongs to the fleet: machines that wait to come in, invites, and what is made of a node. Administrators decide; others see who waits. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";
import type { MadeInvite, WaitingMachine } from "../wire/custody_shapes";
import type { FleetNode } from "../wire/shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Time } from "./time";

const LOOK_EVERY_MS = 5000;
const LEAST_REASON = 3;

/** Above the nodes, where there is anybody: somebody stands at a machine and waits. */
export function Waiting(): JSX.Element | null {
  const answer = useAnswer<{ waiting: WaitingMachine[] }>("/nodes/waiting", { everyMs: LOOK_EVERY_MS, on: ["node"] });
  const [notice, setNotice] = useNotice();
  const found = answer.value?.waiting ?? [];
  const tell = (text: string, isUrgent = false) => {
    setNotice(text);
    announce(text, { isUrgent });
    answer.again();
  };
  if (found.length === 0 && !notice.text && !answer.problem) return null;
  return (
    <section class="card" aria-label="Waiting to come in">
      <h3>Waiting to come in{answer.value && ` (${found.length})`}</h3>
      <Notice said={notice} />
      {answer.problem && <p class="notice problem" role="alert">Not known: {answer.problem}</p>}
      {found.length > 0 && <ul class="lines">{found.map((one) => <Machine key={one.node} one={one} tell={tell} />)}</ul>}
    </section>
  );
}

function Machine({ one, tell }: { one: WaitingMachine; tell: (text: string, isUrgent?: boolean) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const approve = async () => {
    try {
      await desk.center.send("POST", `/nodes/waiting/${encodeURIComponent(one.name)}/approval`, { node: one.node });
      tell(`${one.name} is in: it gets its passport with its next question.`);
    } catch (error) {
      tell(`Not let in. ${wordsOf(error)}`, true);
    }
  };
  return (
    <li>
      <span><strong>{one.name}</strong>, {one.role}, site {one.site}: <span class="mono">{one.node}</span> <span class="hint">compare this with what the machine shows</span></span>
      {may(desk, "fleet.manage") && <button type="button" class="button primary" aria-disabled={isBusy} onClick={() => once(approve)}>Let in<span class="visually-hidden"> {one.name}</span></button>}
    </li>
  );
}

/** A code, good once and for minutes; shown this once. */
export function Invite(): JSX.Element | null {
  const desk = useDesk();
  const [problem, setProblem] = useState("");
  const [made, setMade] = useState<(MadeInvite & { name: string }) | null>(null);
  const [isBusy, once] = useOnce();
  const invite = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const name = String(given.get("name")).trim();
    try {
      setMade({ ...await desk.center.send<MadeInvite>("POST", "/nodes/invites", { name, role: given.get("role"), site: String(given.get("site")).trim(), minutes: Number(given.get("minutes")), is_preapproved: given.get("trusted") === "on" }), name });
      form.reset();
      setProblem("");
      announce(`${name} is invited.`);
    } catch (error) {
      setProblem(`Not invited. ${wordsOf(error)}`);
    }
  };
  if (!may(desk, "fleet.manage")) return null;
  return (
    <section class="card" aria-label="Invite a machine">
      <h3>Invite a machine</h3>
      {made && <div class="invite"><p>Run this on {made.name}, before <Time at={made.expires_at_ms} />; it is shown this once:</p><p><code class="link">{made.command}</code></p></div>}
      <form class="line-form" aria-label="Invite" onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        once(() => invite(form));
      }}>
        <label>Name <input name="name" required maxLength={48} autocomplete="off" /></label>
        <label>Role <select name="role"><option value="camera">camera</option><option value="relay">relay</option><option value="agency">another agency's center</option></select></label>
        <label>Site <input name="site" required maxLength={48} autocomplete="off" /></label>
        <label>Good for, minutes <input name="minutes" type="number" min="1" max="10080" value="10" required /></label>
        <label class="check"><input name="trusted" type="checkbox" /> comes in without waiting</label>
        <button type="submit" class="button" aria-disabled={isBusy}>Invite</button>
        <p class="form-problem" role="alert">{problem}</p>
      </form>
      <p class="hint">Cameras, zones and rules are written at the machine, in its <code>node.toml</code>; how it is reached, in <code>center.toml</code> here. It belongs to this center's agency.</p>
    </section>
  );
}

const CHOICES = {
  quarantined: "Quarantine: kept and marked, annunciated to nobody",
  approved: "Take back: its alerts sound again",
  revoked: "Withdraw for good: nobody carries or takes anything from it",
} as const;

/** In a node's row: quarantine it, take it back, withdraw it. A reason goes with it, and stands in the journal. */
export function Standing({ node }: { node: FleetNode }): JSX.Element | null {
  const desk = useDesk();
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState("");
  const [isBusy, once] = useOnce();
  const opener = useRef<HTMLButtonElement>(null);
  const first = useRef<HTMLSelectElement>(null);
  useLayoutEffect(() => {
    if (isOpen) first.current?.focus();
  }, [isOpen]);
  if (!may(desk, "fleet.manage") || node.state === "revoked") return null;
  const was = node.state === "quarantined" ? "quarantined" : "approved";
  const close = () => {
    setOpen(false);
    setProblem("");
    opener.current?.focus();
  };
  const change = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const reason = String(given.get("reason")).trim();
    if (reason.length < LEAST_REASON) {
      setProblem("Give the reason first: it stands in the journal.");
      return;
    }
    try {
      const answer = await desk.center.send<{ nodes: FleetNode[] }>("PUT", `/nodes/${node.id}/standing`, { standing: given.get("standing"), was, reason });
      desk.fleet.replace(answer.nodes);
      announce(`${node.name}: done.`);
      close();
    } catch (error) {
      setProblem(`Not changed. ${wordsOf(error)}`);
    }
  };
  return (
    <div class="standing" onKeyDown={(event) => {
      if (event.key !== "Escape" || !isOpen) return; // on its button, too: the form takes the focus a moment later
      event.stopPropagation();
      close();
    }}>
      <button ref={opener} type="button" class="button quiet" aria-expanded={isOpen} onClick={() => (isOpen ? close() : setOpen(true))}>Change…<span class="visually-hidden"> what is made of {node.name}</span></button>
      {isOpen && <form class="line-form" aria-label={`What is made of ${node.name}`} onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        once(() => change(form));
      }}>
        <label>To <select name="standing" ref={first}>{([was === "approved" ? "quarantined" : "approved", "revoked"] as const).map((choice) => <option key={choice} value={choice}>{CHOICES[choice]}</option>)}</select></label>
        <label>Reason <input name="reason" maxLength={300} autocomplete="off" required /></label>
        <button type="submit" class="button" aria-disabled={isBusy}>Change</button>
        <p class="form-problem" role="alert">{problem}</p>
      </form>}
    </div>
  );
}
