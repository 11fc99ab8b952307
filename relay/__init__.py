"""Keys, envelopes, spool, paths, scheduling: the ground floor. Imports nothing else of ours.

The way of an alert: ``emitter`` or ``station.put`` → ``spool`` → ``scheduler`` → ``sender`` → ``paths/`` → ``receiver``;
the way back: ``receipt`` → ``settler``. ``relay/DESIGN.md`` states the invariants.
"""

from relay.emitter import EmitRequest, Emitted, Emitter, RetractRequest

__all__ = ["EmitRequest", "Emitted", "Emitter", "RetractRequest"]
