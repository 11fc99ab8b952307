/** The pages of the console, in the order of their keys, and who sees which. */

import type { FunctionComponent } from "preact";

import type { PageName } from "../model/command";
import { permits } from "../model/permissions";
import type { Session } from "../wire/shapes";
import { AccountsPage } from "./accounts_page";
import { AuditPage } from "./audit_page";
import { FleetPage } from "./fleet_page";
import { HandoverPage } from "./handover_page";
import { IncidentsPage } from "./incidents_page";
import { MapPage } from "./map_page";
import { UnitsPage } from "./units_page";

export interface PageEntry {
  name: PageName;
  title: string;
  Page: FunctionComponent;
}

const EVERY: readonly PageEntry[] = [
  { name: "incidents", title: "Incidents", Page: IncidentsPage },
  { name: "map", title: "Map", Page: MapPage },
  { name: "units", title: "Units", Page: UnitsPage },
  { name: "fleet", title: "Fleet", Page: FleetPage },
  { name: "handover", title: "Handover", Page: HandoverPage },
  { name: "audit", title: "Audit", Page: AuditPage },
  { name: "accounts", title: "Accounts", Page: AccountsPage },
];

/** A dispatcher has no audit page: the center would refuse each of its questions. */
export function pagesFor(session: Session | null): readonly PageEntry[] {
  return permits(session, "journal.read") ? EVERY : EVERY.filter(({ name }) => name !== "audit");
}
