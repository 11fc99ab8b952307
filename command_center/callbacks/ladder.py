"""When a delivery that failed is tried again. Pure.

The first steps are short, because a unit that can't be told is a unit that does not come; the later ones are those of
Standard Webhooks. Each step is drawn from 80 to 120 % of its length, so that many receivers behind one gateway that comes
back don't all answer at once.
"""

import random
from typing import Final

STEPS_S: Final = (1, 5, 15, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
LONGEST_MS: Final = round(86_400 * 1.2 * 1000)
_MOST_ASKED_S: Final = 3600


def wait_ms(attempts: int, dice: random.Random, asked_s: float | None = None) -> int | None:
    """After that many failed attempts; None: it is dead. ``asked_s`` is the receiver's Retry-After, honored up to an hour."""
    if attempts > len(STEPS_S):
        return None
    step_s = STEPS_S[attempts - 1] * dice.uniform(0.8, 1.2)
    if asked_s is not None:
        step_s = max(step_s, min(asked_s, _MOST_ASKED_S))
    return round(step_s * 1000)
