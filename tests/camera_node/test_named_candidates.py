"""Candidates that are names go beside the answer, not before it."""

import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from camera_node.live.named_candidates import taken_out

OFFER = "\r\n".join([
    "v=0", "m=video 9 UDP/TLS/RTP/SAVPF 102", "a=candidate:1 1 udp 2113937151 0a1b-c.local 54321 typ host generation 0",
    "a=candidate:2 1 udp 1677729535 192.0.2.7 54322 typ srflx raddr 0.0.0.0 rport 0", "a=end-of-candidates",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=candidate:1 1 udp 2113937151 d-e.local 5 typ host", "",
])  # fmt: skip


def test_names_are_taken_out_and_known_by_their_place() -> None:
    offer, named = taken_out(OFFER)
    assert ".local" not in offer
    assert "192.0.2.7" in offer
    assert "a=end-of-candidates" not in offer, "more may come: the names that are found"
    assert [(candidate.ip, candidate.port, candidate.sdpMLineIndex) for candidate in named] == [
        ("0a1b-c.local", 54321, 0), ("d-e.local", 5, 1)
    ]  # fmt: skip


def test_offer_without_names_is_left_as_it_is() -> None:
    plain = "\r\n".join(line for line in OFFER.split("\r\n") if ".local" not in line)
    assert taken_out(plain) == (plain, [])
