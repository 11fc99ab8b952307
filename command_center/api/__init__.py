"""The HTTP API under ``/api/v1`` and the console's pages: one router a noun, browser shapes in ``shapes``."""
