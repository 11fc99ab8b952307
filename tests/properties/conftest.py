"""How long the properties are searched: `HYPOTHESIS_PROFILE=long` for a night's worth."""

import os

from hypothesis import HealthCheck, settings

# No deadline: a loaded machine is slow, not wrong. Seeds are printed on failure by hypothesis itself.
_COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ordinary", max_examples=40, **_COMMON)
settings.register_profile("long", max_examples=3000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))
