/** Times and ages. Ages tick by themselves; nothing around them is drawn anew. */

import type { JSX } from "preact";

import { duration, isoTime, localTime, utcTime } from "../model/format";
import { useDesk } from "./desk_context";

/** Local time, and UTC on hover. */
export function Time({ at, class: name }: { at: number | null | undefined; class?: string }): JSX.Element {
  const desk = useDesk();
  return <time class={name} title={utcTime(at)} dateTime={isoTime(at)}>{localTime(at, desk.today.value)}</time>;
}

/** How long ago, by the center's clock; "unknown" where it is not known. */
export function Age({ at }: { at: number | null | undefined }): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  return <>{duration(desk.clock.age(at))}</>;
}
