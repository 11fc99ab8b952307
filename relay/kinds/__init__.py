"""What an envelope can say: one file per kind, each with its body's fields, units and bounds."""
