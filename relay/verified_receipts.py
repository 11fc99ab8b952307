"""Receipts whose signature was found to hold: the same bytes come again on every path that leads back, and behind other parcels (``rides``).

Checking a signature costs as much as settling ten alerts; finding it again costs next to nothing. Only the same bytes under the same key
are found. Whether that key may speak *now* is not kept here: who asks looks its passport up each time, so a revoked center frees nothing
by a receipt that was good yesterday. Called by ``receiver`` on the event loop.
"""

from collections import OrderedDict
from typing import Final

from relay import receipt
from relay.ids import NodeId
from relay.receipt import Receipt

KEPT: Final = 4_096
"""Numberings whose last receipt is remembered: some 200 bytes each."""


class VerifiedReceipts:
    """The last one of each signer and numbering."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[NodeId, NodeId, int], tuple[bytes, bytes]] = OrderedDict()
        """(key, wire)."""

    def require(self, found: Receipt, signing_key: bytes) -> None:
        """Check that the holder of this key signed the receipt, by its bytes if they were checked before.

        Raises:
            BadSignature: it did not.
        """
        series = (found.signer, found.origin, found.series)
        if self._last.get(series) == (signing_key, found.wire):
            return
        receipt.verify(found, signing_key)
        self._last[series] = signing_key, found.wire
        self._last.move_to_end(series)
        if len(self._last) > KEPT:
            self._last.popitem(last=False)
