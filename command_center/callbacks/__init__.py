"""Telling field units and other systems: a durable outbox, signed webhooks, and the units' answers."""
