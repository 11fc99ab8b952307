"""FLASH with one of three paths silently dead, over emulated links. Needs root; about two minutes."""

from tests.network.measure import measure

__all__ = ["measure"]
