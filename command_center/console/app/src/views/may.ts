/** Whether the signed-in person may do something: keeps a dead button off the page. */

import type { Desk } from "../desk";
import { type Permission, permits } from "../model/permissions";

export function may(desk: Desk, permission: Permission): boolean {
  return permits(desk.session.value, permission);
}

/** Whether this person acts on incidents and units; an auditor only looks. */
export function mayAct(desk: Desk): boolean {
  return may(desk, "incidents.act");
}
