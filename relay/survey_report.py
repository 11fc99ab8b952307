"""What a survey found, and in plain words whether it is enough for alerts and for live video. Pure.

Budgets: an alert's is the round trip within which "heard" is to be back; video's is the goodput upwards that a picture stream needs,
with a round trip and a loss that a conversation bears (ITU-T G.1010 gives 400 ms one way as the limit for two-way video; half of
that leaves room for the browser).
"""

from typing import Final

import msgspec

CENTER_MS: Final = 50
"""What verifying and committing an alert takes at the other end, and what our own commit takes: a usual disk."""


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be met."""

    alert_ms: int = 1_000
    """Put until heard, 95 of 100."""
    video_kbit: int = 1_000
    """A main stream of 720p; a sub-stream needs about 300, stills through the relay 50."""
    video_rtt_ms: int = 400
    video_loss: float = 0.05


class PathFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one path. None: could not be measured, and ``why_not`` says why."""

    path: str
    carrier: str
    provider: str
    peer: str
    is_metered: bool
    rtt_ms: float | None = None
    """Median."""
    rtt_p95_ms: float | None = None
    jitter_ms: float | None = None
    """Mean difference of one round trip to the next (as RFC 3550's, without its smoothing)."""
    loss: float | None = None
    """Share, upwards: of TCP segments that had to be sent again where the kernel tells, else of probes without an answer."""
    loss_of: str = ""
    """``segments`` or ``probes``."""
    goodput_up_kbit: float | None = None
    is_up_faster: bool = False
    """The path carries more than that: it was done before a survey can tell how much more, as on one machine's loopback."""
    goodput_down_kbit: float | None = None
    is_down_faster: bool = False
    ip_mtu_bytes: int | None = None
    largest_parcel_bytes: int | None = None
    """The largest that came back whole."""
    failover_ms: float | None = None
    """From this path's end until another path answered; None where there is no other."""
    redial_ms: float | None = None
    """From this path's end until it answered again."""
    used_bytes: int = 0
    """What the survey itself cost, both ways."""
    why_not: str = ""


class SurveyReport(msgspec.Struct, frozen=True, kw_only=True):
    """All paths, and the words."""

    station: str
    budgets: Budgets
    paths: tuple[PathFinding, ...]
    words: tuple[str, ...]
    alert_met: bool
    video_met: bool


def report_of(station: str, budgets: Budgets, findings: tuple[PathFinding, ...]) -> SurveyReport:
    """Judge what was found."""
    words = [line for finding in findings for line in _words_on(finding, budgets)]
    alert_met = any(_alert_ms(finding) <= budgets.alert_ms for finding in findings if finding.rtt_p95_ms is not None)
    video_met = any(not _video_wants(finding, budgets) for finding in findings if finding.rtt_ms is not None)
    return SurveyReport(station=station, budgets=budgets, paths=findings, words=(*words, *_overall(findings)),
                        alert_met=alert_met, video_met=video_met)  # fmt: skip


def _alert_ms(finding: PathFinding) -> float:
    return (finding.rtt_p95_ms or 0.0) + CENTER_MS


def _words_on(finding: PathFinding, budgets: Budgets) -> list[str]:
    if finding.rtt_p95_ms is None:
        return [f"{finding.path}: not measured: {finding.why_not}"]
    takes_ms = _alert_ms(finding)
    verdict = "meets" if takes_ms <= budgets.alert_ms else "MISSES"
    heard = f"an alert is heard within about {takes_ms:.0f} ms, {budgets.alert_ms:,} ms are allowed"
    lines = [f"{finding.path}: {verdict} the alert budget: {heard}"]
    wants = _video_wants(finding, budgets)
    if finding.goodput_up_kbit is None:
        lines.append(f"{finding.path}: live video is not judged: {finding.why_not or 'its goodput was not measured'}")
    elif wants:
        lines.append(f"{finding.path}: MISSES the video budget: {'; '.join(wants)}")
    else:
        at_least = "more than " if finding.is_up_faster else ""
        lines.append(f"{finding.path}: meets the video budget: {at_least}{finding.goodput_up_kbit:,.0f} kbit/s upwards, "
                     f"{budgets.video_kbit:,} are needed")  # fmt: skip
    return lines


def _video_wants(finding: PathFinding, budgets: Budgets) -> list[str]:
    wants: list[str] = []
    if (finding.goodput_up_kbit or 0.0) < budgets.video_kbit and not finding.is_up_faster:
        wants.append(f"{finding.goodput_up_kbit or 0:,.0f} kbit/s upwards, {budgets.video_kbit:,} are needed")
    if (finding.rtt_ms or 0.0) > budgets.video_rtt_ms:
        wants.append(f"a round trip of {finding.rtt_ms:.0f} ms, {budgets.video_rtt_ms} ms are borne")
    if (finding.loss or 0.0) > budgets.video_loss:
        wants.append(f"{finding.loss:.1%} loss, {budgets.video_loss:.0%} is borne")
    return wants


def _overall(findings: tuple[PathFinding, ...]) -> list[str]:
    measured = [finding for finding in findings if finding.rtt_ms is not None]
    if len(measured) < 2:
        return [
            "there is one path at most: when it is down, alerts wait and nobody hears them; add a second, of another provider"
        ]
    providers = {finding.provider for finding in measured}
    if len(providers) == 1 and "" not in providers:
        return [f"all paths are of one provider, {providers.pop()}: what takes it down takes all of them down"]
    return []
