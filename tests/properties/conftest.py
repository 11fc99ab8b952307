"""How long the properties are searched: `HYPOTHESIS_PROFILE=long` for a night's worth."""

import os

from hypothesis import HealthCheck, settings

# No deadline: a loaded machine is slow, not wrong. On failure hypothesis prints the example and how to replay it.
_ORDINARY = settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ordinary", _ORDINARY)
settings.register_profile("long", _ORDINARY, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))
