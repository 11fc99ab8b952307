"""Other systems on the same links, asked for the same work: each message acknowledged by the far end's program, to its sender."""
