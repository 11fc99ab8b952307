"""See and decide: capture, detect, track, rules, alert."""
