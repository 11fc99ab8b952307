"""What may not go, what goes and leaves its tombstone, and what nodes are asked to send: legal hold, retention, fetching."""
