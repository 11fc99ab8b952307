"""What can go wrong with a board's devices, on top of the relay's tree.

relay.errors.HeardError
└── DeviceFault            (OperatorError) a siren, a switch or a line can't be worked: wiring, rights, address
"""

from relay.errors import OperatorError


class DeviceFault(OperatorError):
    """A device can't be worked; the message says which and what to look at."""
