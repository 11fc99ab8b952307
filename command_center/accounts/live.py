"""What is open in the name of a session at this moment: event streams, live video. Ended with the session, at once.

Owns no rows: ``Door.sweep`` asks the database which sessions still stand and ends what hangs on the others.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

from command_center.accounts.person import SignedIn


class LiveStreams:
    """Streams by the session or token that they were opened with. Used on the event loop only."""

    def __init__(self) -> None:
        self._by_token: dict[bytes, list[Callable[[], None]]] = {}

    @contextlib.contextmanager
    def held(self, person: SignedIn, end: Callable[[], None]) -> Iterator[None]:
        """For the block, ``end`` is called when the session is over; it must not block, and may be called once only."""
        ends = self._by_token.setdefault(person.token_sha256, [])
        ends.append(end)
        try:
            yield
        finally:
            if end in ends:
                ends.remove(end)
            if not ends and self._by_token.get(person.token_sha256) is ends:
                del self._by_token[person.token_sha256]

    @property
    def tokens(self) -> frozenset[bytes]:
        """The sessions and tokens with something open."""
        return frozenset(self._by_token)

    def end(self, tokens: Iterable[bytes]) -> int:
        """End everything of these; returns how many streams that were."""
        ended = [one for token in tokens for one in self._by_token.pop(token, [])]
        for one in ended:
            one()
        return len(ended)
