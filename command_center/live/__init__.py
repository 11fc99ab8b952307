"""Live video at the center: who may watch what, the signaling to the node, and the end of it."""
