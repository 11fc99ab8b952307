"""How often Python looks for garbage that counting references does not find. Owns nothing; each program calls it once it is open.

What a program has when it is open (modules, classes, schemas: 46,000 objects of a relay, 71,000 of a node, 175,000 of a center) stays for as
long as it runs. Looking through all of it again takes 24, 33 and 85 ms [M], and an alert that comes meanwhile waits; with Python's own numbers
that happens whenever the rest has grown by a quarter. So it is set apart, and no collection sees it any more.

An alert leaves no cycles behind, but a dying session does, so collections go on: after 20,000 objects that were made and are still there, and
not after 700, which costs a flow 5 % of its time.

Refuses to end collecting: cycles are few, and this runs for years. Not for the processes that hold pictures: one of those in a cycle is 6 MB.
"""

import gc
from typing import Final

THRESHOLDS: Final = (20_000, 20, 20)
"""Objects made and still there until the youngest are looked through; such looks until the next older ones are, and those until all are."""


def spare_alerts_the_search() -> None:
    """Set apart what is here now, and look through what comes seldom. Takes as long as one full collection: call it before work begins."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
