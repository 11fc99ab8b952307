"""Checks an exported bag. Standard library only: these files travel in every bag, and ``command-center verify`` runs the same."""
