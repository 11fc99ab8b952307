/** The run cards that fit an incident: what to say and do, each step confirmed by a person. */

import type { JSX } from "preact";

import { words } from "../model/format";
import { wordsOf } from "../wire/center";
import type { PlanCard, PlanStep } from "../wire/dispatch_shapes";
import type { Incident } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { mayAct } from "./may";
import { useOnce } from "./once";
import { Sure } from "./sure";

export function Plans({ incident, plans, tell }: { incident: Incident; plans: readonly PlanCard[]; tell: (text: string) => void }): JSX.Element | null {
  if (plans.length === 0) return null;
  return (
    <>
      {plans.map((card) => (
        <div key={card.plan} class="plan" role="group" aria-label={`Plan ${card.plan}`}>
          <h3>Plan: {card.plan}</h3>
          <p class="plan-instructions">{card.instructions}</p>
          {card.units > 0 && <p class="hint">Send {card.units} {card.units === 1 ? "unit" : "units"}{card.capabilities.length ? ` with ${card.capabilities.join(", ")}` : ""}</p>}
          <ul>{card.steps.map((step) => <Step key={`${step.plan} ${step.number}`} incident={incident} step={step} tell={tell} />)}</ul>
        </div>
      ))}
    </>
  );
}

function Step({ incident, step, tell }: { incident: Incident; step: PlanStep; tell: (text: string) => void }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const settle = async (state: "done" | "declined") => {
    try {
      await desk.center.send("POST", `/incidents/${incident.id}/plan/${step.number}`, { state, note: "" });
      tell("");
    } catch (error) {
      tell(`Not settled. ${wordsOf(error)}`);
    }
  };
  const what = `${words(step.kind)}${step.target ? ` ${step.target}` : ""}${step.for_s ? ` for ${step.for_s} s` : ""}`;
  return (
    <li class="plan-step" data-state={step.state}>
      <span class="plan-what">{step.state === "done" ? "✓" : step.state === "declined" ? "×" : "○"} {what}</span>
      {step.state !== "proposed" && <span class="hint">{step.state} by {step.by.replace(/^user:/, "")}</span>}
      {step.outcome && <span class={step.outcome === "refused" ? "step-refused" : "hint"}>{step.outcome === "refused" ? "✗ the node refused" : "the node answers"}: {step.outcome_detail || words(step.outcome)}</span>}
      {step.state === "proposed" && mayAct(desk) && <span class="unit-steps">
        <button type="button" class="button" aria-disabled={isBusy} aria-label={`Do it: ${what}`} onClick={() => once(() => settle("done"))}>Do it</button>
        <Sure class="button quiet" name="Leave out" label={`Leave out: ${what}`} warning="It can't be done from here any more." yes="Leave it out" isBusy={isBusy} act={() => once(() => settle("declined"))} />
      </span>}
    </li>
  );
}
