"""Every rule there is, by the name that it has in the configuration. Explicit: nothing registers itself."""

from collections.abc import Sequence
from typing import assert_never

from camera_node.rules.abandoned_object import AbandonedObject, AbandonedObjectSettings
from camera_node.rules.class_of_interest import ClassOfInterest, ClassOfInterestSettings
from camera_node.rules.crowd import Crowd, CrowdSettings
from camera_node.rules.line_crossing import LineCrossing, LineCrossingSettings
from camera_node.rules.loitering import Loitering, LoiteringSettings
from camera_node.rules.scene import OPEN_GATE, Gate, Rule
from camera_node.rules.tamper import Tamper, TamperSettings
from camera_node.rules.zone_intrusion import ZoneIntrusion, ZoneIntrusionSettings
from camera_node.zone import Zone

RuleSettings = (
    ClassOfInterestSettings | ZoneIntrusionSettings | LoiteringSettings | LineCrossingSettings | CrowdSettings
    | AbandonedObjectSettings | TamperSettings
)  # fmt: skip


def build(settings: RuleSettings, zones: Sequence[Zone], gate: Gate = OPEN_GATE) -> Rule:
    """The rule that these settings describe."""
    match settings:
        case ClassOfInterestSettings():
            return ClassOfInterest(settings, zones, gate)
        case ZoneIntrusionSettings():
            return ZoneIntrusion(settings, zones, gate)
        case LoiteringSettings():
            return Loitering(settings, zones, gate)
        case LineCrossingSettings():
            return LineCrossing(settings, zones, gate)
        case CrowdSettings():
            return Crowd(settings, zones, gate)
        case AbandonedObjectSettings():
            return AbandonedObject(settings, zones, gate)
        case TamperSettings():
            return Tamper(settings, zones, gate)
        case _:
            assert_never(settings)


def labels_of(settings: RuleSettings) -> tuple[str, ...]:
    """The detector's classes that a rule acts on; none for a rule that looks at the whole picture."""
    match settings:
        case TamperSettings():
            return ()
        case AbandonedObjectSettings():
            return (*settings.labels, *settings.owners)
        case _:
            return tuple(settings.labels)
