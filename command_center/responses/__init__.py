"""How people respond beyond one act on one incident: response plans, the handover of a shift, help from other agencies."""
