"""Live video at the centre: who may watch what, the signalling to the node, and the end of it."""
