"""Checkpoints outside: ours with others, so that nobody here can rewrite history unnoticed; others' with us."""
