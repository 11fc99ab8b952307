/** How views reach the desk. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Desk } from "../desk";

export const DeskContext = createContext<Desk | null>(null);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error("expected a desk around this view, found none");
  return desk;
}
