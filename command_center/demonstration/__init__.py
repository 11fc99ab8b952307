"""The demonstration: a whole house of real processes on this machine, with a real enrollment between them.

``household`` sets it up and runs it, ``dispatcher`` acts as a person would, through the public HTTP API alone, and ``report``
says what came of it. ``command`` is ``command-center demo``.
"""

from command_center.demonstration.command import main

__all__ = ["main"]
