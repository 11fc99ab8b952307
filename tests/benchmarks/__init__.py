"""Measurements, each beside its peer or physical limit in the same run. `make bench BENCH=relay|center|camera|evidence|network`."""
