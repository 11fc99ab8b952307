"""The OASIS schema of the Common Alerting Protocol 1.2, as ``data/`` holds it."""

import functools
from pathlib import Path
from typing import Final

import xmlschema

from command_center.callbacks import cap

CAP: Final = f"{{{cap.NAMESPACE}}}"
"""How ElementTree begins its names."""


@functools.cache
def cap_schema() -> xmlschema.XMLSchema:
    """Compiled once."""
    return xmlschema.XMLSchema(Path(__file__).parent / "data/CAP-v1.2.xsd")
