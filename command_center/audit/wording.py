"""The journal's kinds of entries as people say them: the one place where English stands for a machine's word.

The journal, the index and exports keep the machine's word. English is put beside it when something is shown, and taken back
when somebody searches by it; so a word may be bettered here without touching what was written.
"""

from typing import Final

SAID: Final[dict[str, str]] = {
    # what nodes sent
    "alert": "alert",
    "retraction": "alert taken back",
    "exhibit": "picture or clip announced",
    "object-stored": "picture or clip stored",
    "object-refused": "picture or clip refused",
    "answer": "node answered",
    "heartbeat": "heartbeat",
    "pulse": "pulse",
    "trace": "way of alerts told",
    "checkpoint": "checkpoint of another center came",
    "unreadable": "message could not be read",
    # what became of an incident
    "incident-acknowledged": "incident acknowledged",
    "incident-closed": "incident closed",
    "incident-merged": "incident merged",
    "incident-unmerged": "incident taken apart again",
    "incident-notified-again": "incident notified again",
    "incident-annunciated": "incident sounded later",
    "acknowledgement-expired": "acknowledgement expired",
    "stale-click": "click came too late",
    "source-shelved": "source shelved",
    "shelving-agreed": "shelving agreed by a second person",
    "source-unshelved": "source taken off the shelf",
    "alarm-suppressed": "alarm not told by its node for a while",
    "alarm-unsuppressed": "alarm told by its node again",
    "note-written": "note written",
    "plan-matched": "response plan matched",
    "plan-step": "step of a response plan settled",
    # units, shifts, other agencies
    "unit-added": "unit put on the board",
    "unit-retired": "unit taken off the board",
    "unit-assigned": "unit sent",
    "unit-released": "unit released",
    "unit-status": "unit status",
    "unit-answered": "unit answered",
    "unit-heard": "unit heard",
    "unit-positioned": "unit position",
    "unit-link-made": "phone link of a unit made",
    "welfare-due": "unit not heard in time",
    "place-set": "place set",
    "handover-given": "shift handed over",
    "handover-taken": "shift taken over",
    "incident-shared": "incident shared with another agency",
    "share-opened": "shared incident opened",
    "share-viewed": "shared incident viewed",
    "share-ended": "sharing ended",
    "callback-delivered": "callback delivered",
    "callback-dead": "callback given up",
    "callback-resent": "callback sent again",
    "callback-receiver-added": "callback receiver added",
    "callback-receiver-removed": "callback receiver removed",
    # who looked, and what was given away
    "viewed": "viewed",
    "journal-read": "journal read",
    "live-opened": "live video opened",
    "live-ended": "live video ended",
    "original-unsealed": "original unsealed",
    "evidence-asked": "evidence asked of nodes",
    "export-started": "export started",
    "export-finished": "export finished",
    "export-failed": "export failed",
    "export-fetched": "export fetched",
    "export-timestamped": "export timestamped",
    "bag-verified": "bag verified",
    "hold-placed": "legal hold placed",
    "hold-released": "legal hold released",
    "redaction-set": "redaction set",
    "object-erased": "picture or clip erased",
    "checkpoint-published": "checkpoint published",
    "checkpoint-witnessed": "checkpoint of another center witnessed",
    # accounts and machines
    "signed-in": "signed in",
    "signed-out": "signed out",
    "sessions-ended": "sessions ended",
    "denied": "denied",
    "user-added": "account made",
    "user-disabled": "account ended",
    "user-enabled": "account allowed in again",
    "role-changed": "role changed",
    "password-changed": "password changed",
    "second-factor-enrolled": "second factor set up",
    "second-factor-removed": "second factor removed",
    "recovery-codes-made": "recovery codes made",
    "recovery-code-used": "recovery code used",
    "token-made": "API token made",
    "token-revoked": "API token revoked",
    "node-invited": "machine invited",
    "node-asked": "machine asked to come in",
    "enrollment-refused": "machine refused",
    "node-admitted": "node admitted",
    "node-standing": "standing of a node changed",
    # the center itself
    "initialized": "command center made",
    "configured": "setting noted",
    "started": "command center started",
    "restored": "restored from a backup",
    "promoted": "standby took over",
    "standby-in-step": "standby in step",
    "standby-lost": "standby lost",
    "views-rebuilt": "views made anew",
    "clock-leapt": "clock leapt",
}


def said(kind: str) -> str:
    """A kind as people say it; of one that is not known here, its own words."""
    return SAID.get(kind) or kind.replace("-", " ")


def kind_meant(typed: str) -> str:
    """The kind that somebody means, who wrote it as it is shown or as it is."""
    folded = typed.strip().casefold()
    return next((kind for kind, words in SAID.items() if words.casefold() == folded), typed.strip())


def kinds_saying(text: str) -> frozenset[str]:
    """Kinds in whose English this text occurs; case doesn't matter."""
    folded = text.casefold()
    return frozenset(kind for kind, words in SAID.items() if folded in words.casefold()) if folded else frozenset()
