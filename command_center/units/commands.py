"""What an administrator may ask about units and places, one struct a command; ``office`` performs them."""

import msgspec


class UnitAdd(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Put a unit on the board, or change what it can do."""

    name: str
    agency: str = ""
    capabilities: tuple[str, ...] = ()


class UnitRetire(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Take a unit off the board."""

    name: str


class UnitShow(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show the board."""


class UnitLink(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """A link for a unit's phone."""

    name: str
    hours: float = 12.0


class PlaceSet(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Say where a site, a node or node/camera stands; without coordinates: nobody knows any more."""

    name: str
    lat: float | None = None
    lon: float | None = None


class PlaceShow(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show what has coordinates."""


UnitCommand = UnitAdd | UnitRetire | UnitShow | UnitLink | PlaceSet | PlaceShow
