/** What is silent now, always in sight above the queue: until when, why, and by whom. */

import type { JSX } from "preact";

import { duration, words } from "../model/format";
import type { Shelf } from "../wire/shapes";
import { useDesk } from "./desk_context";
import { may } from "./may";

export function Shelves(): JSX.Element {
  const desk = useDesk();
  const shelves = desk.shelves.value;
  return <ul id="shelves" class="shelves" aria-label="Shelved sources" hidden={shelves.length === 0}>{shelves.map((shelf) => <Item key={shelf.id} shelf={shelf} />)}</ul>;
}

function Item({ shelf }: { shelf: Shelf }): JSX.Element {
  const desk = useDesk();
  const mayAgree = shelf.covers_flash && !shelf.agreed_by && shelf.by !== desk.session.value?.username && may(desk, "sources.shelve-flash");
  const flash = !shelf.covers_flash ? "FLASH still sounds" : shelf.agreed_by ? `FLASH too, agreed by ${shelf.agreed_by}` : "FLASH waits for a second person";
  return (
    <li class="shelf">
      <span><strong>Shelved: </strong>{shelf.label ? words(shelf.label) : "everything"} at {shelf.node.name}, {shelf.camera}. </span>
      <span>{shelf.reason} ({shelf.by}). </span>
      <span class="shelf-flash">{flash}. </span>
      <span class="shelf-left"><Left until={shelf.until_ms} /></span>
      {mayAgree && <button type="button" class="button" onClick={() => void desk.acts.agreeToShelf(shelf.id)}>Agree: FLASH, too</button>}
      {may(desk, "sources.shelve") && <button type="button" class="button quiet" onClick={() => void desk.acts.endShelf(shelf.id)}>Take off</button>}
    </li>
  );
}

function Left({ until }: { until: number }): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  return <>{duration(Math.max(0, until - desk.clock.now()))} left</>;
}
