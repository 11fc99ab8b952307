"""Evidence: what happened, exported as a BagIt bag that a stranger can check offline, and checked again."""
