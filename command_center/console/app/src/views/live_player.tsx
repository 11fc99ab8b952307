/**
 * The place of live video in the details. It shows nothing until the center offers a stream for this camera: there is no
 * button that leads nowhere.
 */

import type { JSX } from "preact";

import type { Incident } from "../wire/shapes";

export function LivePlayer(_: { incident: Incident }): JSX.Element | null {
  return null;
}
