"""A receipt that comes again is not checked again; another one, another key's, or a withdrawn signer's always is."""

import msgpack
import pytest

from relay import receipt
from relay.errors import BadSignature
from relay.identity import Identity
from relay.ids import NodeId
from relay.ranges import RangeSet
from relay.receipt import Receipt
from relay.verified_receipts import KEPT, VerifiedReceipts

CENTER, OTHER = Identity.from_seed(b"C" * 32), Identity.from_seed(b"O" * 32)


def issued(upto: int, *, series: int = 1, by: Identity = CENTER) -> Receipt:
    return receipt.issue(RangeSet([(1, upto)]), signer=CENTER.node_id, signing=by.signing, stored_at_s=1,
                         origin=NodeId(b"gate0000"), series=series)  # fmt: skip


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What a signature was really checked of."""
    seen: list[bytes] = []
    really = receipt.verify

    def verify(found: Receipt, signing_key: bytes) -> None:
        seen.append(found.wire)
        really(found, signing_key)

    monkeypatch.setattr(receipt, "verify", verify)
    return seen


def test_the_same_receipt_is_checked_once_and_a_newer_one_again(checked: list[bytes]) -> None:
    book = VerifiedReceipts()
    for found in (issued(1), issued(1), issued(1), issued(2), issued(2), issued(1, series=2), issued(2)):
        book.require(receipt.parse(found.wire), CENTER.signing_key)
    assert checked == [issued(1).wire, issued(2).wire, issued(1, series=2).wire]


def test_a_forged_one_is_refused_each_time_and_does_not_displace_the_good_one(checked: list[bytes]) -> None:
    book, good = VerifiedReceipts(), issued(3)
    book.require(good, CENTER.signing_key)
    parts = msgpack.unpackb(good.wire)
    bad_signature = receipt.parse(msgpack.packb([parts[0], parts[1], bytes(64)], use_bin_type=True))
    for forged in (bad_signature, issued(9, by=OTHER)):
        for _ in range(2):
            with pytest.raises(BadSignature):
                book.require(forged, CENTER.signing_key)
    assert len(checked) == 5
    book.require(good, CENTER.signing_key)
    assert len(checked) == 5, "still known"


def test_what_held_under_one_key_is_checked_under_another(checked: list[bytes]) -> None:
    book = VerifiedReceipts()
    book.require(issued(3), CENTER.signing_key)
    with pytest.raises(BadSignature):
        book.require(issued(3), OTHER.signing_key)
    assert len(checked) == 2


def test_no_more_are_remembered_than_its_bound_and_the_oldest_goes_first(checked: list[bytes]) -> None:
    book = VerifiedReceipts()
    for series in range(1, KEPT + 2):
        book.require(issued(1, series=series), CENTER.signing_key)
    checked.clear()
    book.require(issued(1, series=2), CENTER.signing_key)
    assert checked == []
    book.require(issued(1, series=1), CENTER.signing_key)
    assert len(checked) == 1, "forgotten, so checked"
