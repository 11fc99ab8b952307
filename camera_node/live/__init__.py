"""Live pictures for one viewer at a time each, in a process of its own: no keys, no spool, started and watched by the node.

``python -m camera_node.live.stage`` is the process. It takes encoded packets from the eyes' taps and passes them through to
WebRTC where it may, encodes once for all where it must, and goes down and up a ladder of qualities as each viewer's line allows.
"""
