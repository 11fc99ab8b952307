/** What the signed-in person may do. The center decides; here it only keeps a dead button off the page. */

import type { Session } from "../wire/shapes";

export type Permission =
  | "incidents.read" | "incidents.act" | "units.dispatch" | "sources.shelve" | "sources.shelve-flash" | "alarms.suppress" | "callbacks.read" | "callbacks.resend" | "incidents.share" | "journal.read" | "evidence.export" | "video.watch" | "evidence.hold" | "fleet.manage" | "accounts.read" | "accounts.manage";

/** Where the center does not name permissions, the roles say as much. */
const LEADS = ["supervisor", "administrator"];
const BY_ROLE: Record<Permission, readonly string[]> = {
  "incidents.read": ["dispatcher", "auditor", ...LEADS],
  "incidents.act": ["dispatcher", ...LEADS],
  "units.dispatch": ["dispatcher", ...LEADS],
  "sources.shelve": ["dispatcher", ...LEADS],
  "video.watch": ["dispatcher", ...LEADS],
  "sources.shelve-flash": LEADS,
  "alarms.suppress": LEADS,
  "callbacks.read": ["auditor", ...LEADS],
  "callbacks.resend": LEADS,
  "incidents.share": LEADS,
  "journal.read": ["auditor", ...LEADS],
  "evidence.export": ["auditor", ...LEADS],
  "evidence.hold": LEADS,
  "fleet.manage": ["administrator"],
  "accounts.read": ["administrator", "auditor"],
  "accounts.manage": ["administrator"],
};

export function permits(session: Session | null, permission: Permission): boolean {
  if (!session) return false;
  return session.permissions ? session.permissions.includes(permission) : BY_ROLE[permission].includes(session.role);
}
