/** What is silent now, always in sight above the queue: until when, why, and by whom. */

import type { JSX } from "preact";

import { duration, localTime, words } from "../model/format";
import type { Shelf } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { may } from "./may";
import { useOnce } from "./once";
import { Sure } from "./sure";

export function Shelves(): JSX.Element {
  const desk = useDesk();
  const shelves = desk.shelves.value;
  return <ul id="shelves" class="shelves" aria-label="Shelved sources" hidden={shelves.length === 0}>{shelves.map((shelf) => <Item key={shelf.id} shelf={shelf} />)}</ul>;
}

function Item({ shelf }: { shelf: Shelf }): JSX.Element {
  const desk = useDesk();
  const [isBusy, once] = useOnce();
  const what = `${shelf.label ? words(shelf.label) : "everything"} at ${shelf.node.name}, ${shelf.camera}`;
  const mayAgree = shelf.covers_flash && !shelf.agreed_by && shelf.by !== desk.session.value?.username && may(desk, "sources.shelve-flash");
  const flash = !shelf.covers_flash ? "FLASH still sounds" : shelf.agreed_by ? `FLASH too, agreed by ${shelf.agreed_by}` : "FLASH waits for a second person";
  return (
    <li class="shelf">
      <span><strong>Shelved: </strong>{what}. </span>
      <span>{shelf.reason} ({shelf.by}). </span>
      <span class="shelf-flash">{flash}. </span>
      <span class="shelf-left"><Left until={shelf.until_ms} /></span>
      {mayAgree && <Sure class="button" name="Agree: FLASH, too" label={`Agree: FLASH, too: ${what}`} warning={`Until ${localTime(shelf.until_ms, desk.today.value)} no FLASH of it sounds for anybody.`} yes="Agree" isBusy={isBusy} act={() => once(() => desk.acts.agreeToShelf(shelf.id))} />}
      {may(desk, "sources.shelve") && <button type="button" class="button quiet" aria-label={`Take off: ${what}`} aria-disabled={isBusy} onClick={() => once(() => desk.acts.endShelf(shelf.id))}>Take off</button>}
    </li>
  );
}

function Left({ until }: { until: number }): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  return <>{duration(Math.max(0, until - desk.clock.now()))} left</>;
}
