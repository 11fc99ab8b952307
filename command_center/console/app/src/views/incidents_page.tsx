/** The page that people work on: queue, details, fleet strip. */

import type { JSX } from "preact";

import { CommandBar } from "./command_bar";
import { useDesk } from "./desk_context";
import { Detail } from "./detail";
import { FleetStrip } from "./fleet_strip";
import { NewAbove, QueueList } from "./queue";
import { Shelves } from "./shelves";

export function IncidentsPage(): JSX.Element {
  const desk = useDesk();
  void desk.revision.value;
  const { showsClosed } = desk.queue;
  return (
    <>
      <main class="work">
        <section class="queue-pane" aria-labelledby="queue-title">
          <div class="pane-head">
            <h2 id="queue-title">Incidents</h2>
            <div class="segmented" role="group" aria-label="Which incidents are shown">
              <button id="show-open" type="button" aria-pressed={!showsClosed} onClick={() => void desk.showClosed(false)}>Open</button>
              <button id="show-all" type="button" aria-pressed={showsClosed} onClick={() => void desk.showClosed(true)}>All</button>
            </div>
            <NewAbove />
            <CommandBar />
          </div>
          <Shelves />
          <QueueList />
        </section>
        <Detail />
      </main>
      <FleetStrip />
    </>
  );
}
