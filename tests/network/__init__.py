"""Real stations over bad links: network namespaces, a user-space link emulator, and scenarios a person can read."""
