"""Every rule there is, by the name that it has in the configuration. Explicit: nothing registers itself."""

from collections.abc import Sequence
from typing import assert_never

from camera_node.rules.class_of_interest import ClassOfInterest, ClassOfInterestSettings
from camera_node.rules.loitering import Loitering, LoiteringSettings
from camera_node.rules.scene import Rule
from camera_node.rules.zone_intrusion import ZoneIntrusion, ZoneIntrusionSettings
from camera_node.zone import Zone

RuleSettings = ClassOfInterestSettings | ZoneIntrusionSettings | LoiteringSettings


def build(settings: RuleSettings, zones: Sequence[Zone]) -> Rule:
    """The rule that these settings describe."""
    match settings:
        case ClassOfInterestSettings():
            return ClassOfInterest(settings, zones)
        case ZoneIntrusionSettings():
            return ZoneIntrusion(settings, zones)
        case LoiteringSettings():
            return Loitering(settings, zones)
        case _:
            assert_never(settings)
