/** The pages of the console, in the order of their keys, and who sees which. */

import type { FunctionComponent } from "preact";

import type { PageName } from "../model/command";
import { type Permission, permits } from "../model/permissions";
import type { Session } from "../wire/shapes";
import { AccountsPage } from "./accounts_page";
import { AuditPage } from "./audit_page";
import { CallbacksPage } from "./callbacks_page";
import { FleetPage } from "./fleet_page";
import { HandoverPage } from "./handover_page";
import { IncidentsPage } from "./incidents_page";
import { MapPage } from "./map_page";
import { UnitsPage } from "./units_page";

export interface PageEntry {
  name: PageName;
  title: string;
  /** Drawn with a pen of 1.8 in a box of 24 by 24. */
  icon: string;
  Page: FunctionComponent;
  /** Without it the center would refuse each of the page's questions. */
  needs?: Permission;
}

const EVERY: readonly PageEntry[] = [
  { name: "incidents", title: "Incidents", icon: "M12 3.5a5.5 5.5 0 0 0-5.5 5.5v4L5 16.5h14L17.5 13V9A5.5 5.5 0 0 0 12 3.5zM9.5 20h5", Page: IncidentsPage },
  { name: "map", title: "Map", icon: "M9 4 3 6.5V20l6-2.5 6 2.5 6-2.5V4l-6 2.5zM9 4v13.5M15 6.5V20", Page: MapPage },
  { name: "units", title: "Units", icon: "M12 3l7 2.5V11c0 4.5-2.8 7.8-7 10-4.2-2.2-7-5.5-7-10V5.5z", Page: UnitsPage },
  { name: "fleet", title: "Fleet", icon: "M3.5 7.5h11v9h-11zM14.5 11l6-3v8l-6-3", Page: FleetPage },
  { name: "handover", title: "Handover", icon: "M4 8.5h14m-3.5-3.5L18 8.5 14.5 12M20 16H6m3.5-3.5L6 16l3.5 3.5", Page: HandoverPage },
  { name: "callbacks", title: "Callbacks", icon: "M20.5 3.5 3.5 10.5l6.5 3 3 6.5zM10 13.5l4-4", Page: CallbacksPage, needs: "callbacks.read" },
  { name: "audit", title: "Audit", icon: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.3 15.3 20.5 20.5", Page: AuditPage, needs: "journal.read" },
  { name: "accounts", title: "Accounts", icon: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20c.8-3.5 3.800-5.5 7.5-5.5s6.700 2 7.5 5.5", Page: AccountsPage },
];

export function pagesFor(session: Session | null): readonly PageEntry[] {
  return EVERY.filter(({ needs }) => needs === undefined || permits(session, needs));
}
