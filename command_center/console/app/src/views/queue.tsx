/** The live queue: only the rows in sight are in the page, however many there are. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { inSight } from "../model/queue";
import { useDesk } from "./desk_context";
import { Row } from "./row";

const JUST_MOVED = "The queue just moved. Press again.";

interface Sight {
  scrollTop: number;
  heightPx: number;
  rowPx: number;
}

export function QueueList(): JSX.Element {
  const desk = useDesk();
  const scroller = useRef<HTMLDivElement>(null);
  const probe = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState<Sight>({ scrollTop: 0, heightPx: 800, rowPx: 80 });
  void desk.revision.value;
  const { order, selectedId } = desk.queue;
  const notices = desk.notices.value;
  const focused = document.activeElement; // before the rows are moved: the browser drops the focus of a row that it moves

  const look = () => {
    const box = scroller.current;
    if (!box) return;
    setSight((held) => {
      const seen = { scrollTop: box.scrollTop, heightPx: box.clientHeight, rowPx: probe.current?.offsetHeight || 80 };
      return held.scrollTop === seen.scrollTop && held.heightPx === seen.heightPx && held.rowPx === seen.rowPx ? held : seen;
    });
  };
  useEffect(() => {
    const watching = new ResizeObserver(look);
    if (scroller.current) watching.observe(scroller.current);
    return () => watching.disconnect();
  }, []);
  useKeptPlace(scroller, order, selectedId, sight.rowPx, focused);
  useAskedFocus(scroller, sight.rowPx);

  const [first, end] = inSight(order.length, sight.scrollTop, sight.heightPx, sight.rowPx);
  const drawn = order.slice(first, end).map((id, offset) => ({ id, at: first + offset }));
  const selectedAt = selectedId === null ? -1 : order.indexOf(selectedId);
  // The selected row stays in the page, so that it keeps the focus wherever it is scrolled to.
  if (selectedId !== null && selectedAt >= 0 && (selectedAt < first || selectedAt >= end)) {
    drawn[selectedAt < first ? "unshift" : "push"]({ id: selectedId, at: selectedAt });
  }
  const unlessMoved = (id: number, act: () => void) => () => {
    if (desk.queue.hasJustMoved) desk.notify(id, JUST_MOVED);
    else {
      if (notices.get(id)?.text === JUST_MOVED) desk.notify(id, "");
      act();
    }
  };
  const touch = () => desk.queue.touch();
  const leave = () => {
    if (!scroller.current?.contains(document.activeElement)) desk.queue.rest();
  };
  return (
    <div class="queue-scroll" id="queue-scroll" ref={scroller} onScroll={look} onPointerMove={touch} onPointerDown={touch} onWheel={touch}
      onKeyDown={touch} onTouchMove={touch} onPointerLeave={leave}>
      <div class="row-probe" ref={probe} aria-hidden="true" />
      <ul id="queue" class="queue" tabIndex={-1} aria-label="Incident queue" style={{ height: `${order.length * sight.rowPx}px` }}>
        {drawn.map(({ id, at }) => {
          const incident = desk.book.get(id);
          return incident && (
            <Row key={id} incident={incident} at={at} of={order.length} topPx={at * sight.rowPx} isSelected={id === selectedId} notice={notices.get(id)}
              onOpen={unlessMoved(id, () => {
                desk.select(id);
                desk.isDetailOpen.value = true;
              })}
              onAcknowledge={unlessMoved(id, () => void desk.acts.acknowledge(id))} />
          );
        })}
      </ul>
      {order.length === 0 && <Empty />}
    </div>
  );
}

/** What stands where no row does. */
function Empty(): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  void desk.fleet.nodes.value;
  const { filter } = desk.queue;
  const all = desk.book.all().length;
  return (
    <p id="queue-empty" class="empty">
      {filter ? `Nothing matches “${filter}”. ${all.toLocaleString()} ${all === 1 ? "incident" : "incidents"} without the filter. Esc clears it.` : desk.fleet.quietWords()}
    </p>
  );
}

/** "3 new above": brings in what waits. */
export function NewAbove(): JSX.Element | null {
  const desk = useDesk();
  void desk.revision.value;
  const { count, flash } = desk.queue.pending;
  return (
    <button id="new-above" type="button" class={`new-above${flash ? " has-flash" : ""}`} hidden={count === 0} onClick={() => desk.settle()}>
      <span>{count} new above{flash ? `, ${flash} FLASH` : ""}</span><kbd>n</kbd>
    </button>
  );
}

/** When rows moved: what the person looked at stays where it was on the screen, and the focus with it. */
function useKeptPlace(scroller: { current: HTMLDivElement | null }, order: readonly number[], selectedId: number | null, rowPx: number, focused: Element | null): void {
  const was = useRef<{ order: readonly number[]; selectedId: number | null }>({ order, selectedId });
  useLayoutEffect(() => {
    const box = scroller.current;
    const before = was.current.order;
    if (box && before !== order) {
      const anchor = selectedId !== null && before.includes(selectedId) ? selectedId : before[Math.floor(box.scrollTop / rowPx)];
      const [from, to] = anchor === undefined ? [-1, -1] : [before.indexOf(anchor), order.indexOf(anchor)];
      if (box.scrollTop > 0 && from >= 0 && to >= 0) box.scrollTop += (to - from) * rowPx;
      if (focused instanceof HTMLElement && focused !== document.activeElement && box.contains(focused)) focused.focus({ preventScroll: true });
      const hadFocus = focused instanceof HTMLElement && focused.classList.contains("row-open") && !focused.isConnected;
      if (hadFocus) openOf(box, selectedId)?.focus({ preventScroll: true });
    }
    was.current = { order, selectedId };
  });
}

/** Puts the focus on the selected row and brings it into sight, whenever that was asked for. */
function useAskedFocus(scroller: { current: HTMLDivElement | null }, rowPx: number): void {
  const desk = useDesk();
  const asked = desk.focusAsked.value;
  useLayoutEffect(() => {
    const box = scroller.current;
    const id = desk.queue.selectedId;
    const at = id === null ? -1 : desk.queue.order.indexOf(id);
    if (asked === 0 || !box || at < 0) return;
    const top = at * rowPx;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + rowPx > box.scrollTop + box.clientHeight) box.scrollTop = top + rowPx - box.clientHeight;
    openOf(box, id)?.focus({ preventScroll: true });
  }, [asked]);
}

function openOf(box: HTMLElement, id: number | null): HTMLElement | null {
  return box.querySelector<HTMLElement>(`.row[data-incident="${id ?? ""}"] .row-open`);
}
