"""What live video looks like to a browser."""

from command_center.api.shapes import Shape


class IceServerShape(Shape):
    """As RTCPeerConnection takes it."""

    urls: str
    username: str
    credential: str


class IceServerList(Shape):
    """What a viewer may use; empty: only addresses of its own network."""

    ice_servers: list[IceServerShape]
    is_relay_only: bool


class LiveViewing(Shape):
    """One person watching one camera."""

    session: str
    """Empty where it is somebody else's."""
    node: str
    camera: str
    by: str
    reason: str
    incident: int
    rung: str
    """``relay-stills``: ask for stills; anything else is between the viewer and the node."""
    why: str
    since_ms: int
    is_over: bool
    ended_why: str


class LiveViewingList(Shape):
    """Who watches what now."""

    viewings: list[LiveViewing]
