/** The pages of the console, in the order of their keys, and who sees which. */

import type { FunctionComponent } from "preact";

import type { PageName } from "../model/command";
import { IncidentsPage } from "./incidents_page";

export interface PageEntry {
  name: PageName;
  title: string;
  Page: FunctionComponent;
}

const EVERY: readonly PageEntry[] = [
  { name: "incidents", title: "Incidents", Page: IncidentsPage },
];

export function pagesFor(_role: string): readonly PageEntry[] {
  return EVERY;
}
