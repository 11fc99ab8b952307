"""``/api/v1/quality``: what people made of the alarms, by camera, label and model. Feeds training, thresholds and roll-outs."""

import sqlite3

from fastapi import APIRouter

from command_center.api.access import Parts, QualityReader
from command_center.api.shapes import NodeName, Problem, QualityList, QualityRow
from command_center.incidents import Disposition

router = APIRouter(prefix="/api/v1/quality", tags=["quality"], responses={401: {"model": Problem}})

_CLOSED = """
SELECT i.node, COALESCE(n.name, ''), COALESCE(n.site, ''), i.camera, i.label,
  (SELECT a.model_sha256_prefix FROM alert a WHERE a.incident = i.id ORDER BY a.entry LIMIT 1) AS model,
  i.disposition, COUNT(*)
FROM incident i LEFT JOIN node n ON n.id = i.node
WHERE i.state = 'closed' AND i.disposition IS NOT NULL
GROUP BY i.node, i.camera, i.label, model, i.disposition
"""


@router.get("")
async def quality(_: QualityReader, parts: Parts) -> QualityList:
    """Precision of each source, the least precise first. A merged incident counts as the one that it was merged into."""
    return QualityList(sources=await parts.readers.run(sources))


def sources(connection: sqlite3.Connection) -> list[QualityRow]:
    """One row for each camera, label and model."""
    counted: dict[tuple[bytes, str, str, bytes], tuple[NodeName, dict[str, int]]] = {}
    for node, name, site, camera, label, model, disposition, count in connection.execute(_CLOSED):
        _, found = counted.setdefault(
            (node, camera, label, model or b""), (NodeName(id=node.hex(), name=name, site=site), {})
        )
        found[disposition] = count
    rows = [_row(name, camera, label, model, found) for (_, camera, label, model), (name, found) in counted.items()]
    return sorted(rows, key=lambda row: (row.precision is None, row.precision, -row.incidents))


def _row(name: NodeName, camera: str, label: str, model: bytes, found: dict[str, int]) -> QualityRow:
    real = sum(count for what, count in found.items() if Disposition(what).says_it_was_real is True)
    not_real = sum(count for what, count in found.items() if Disposition(what).says_it_was_real is False)
    return QualityRow(
        node=name, camera=camera, label=label, model_sha256_prefix=model.hex(), incidents=sum(found.values()), real=real,
        not_real=not_real, precision=round(real / (real + not_real), 3) if real + not_real else None, dispositions=found,
    )  # fmt: skip
