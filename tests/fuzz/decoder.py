"""What a decoder of outside bytes is to these tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.errors import SenderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """What reads, what it may raise, and what it is meant to read."""

    read: Callable[[bytes], object]
    valid: Mapping[str, bytes]
    refuses_with: tuple[type[Exception], ...] = (SenderError,)
    accepts_valid: bool = field(default=True)
    """Whether the examples decode; not so where a proof is missing that only the real partner could make."""

    def take(self, data: bytes) -> bool:
        """Decode; whether it was accepted. Any other error than a refusal comes out."""
        try:
            self.read(data)
        except self.refuses_with:
            return False
        return True
