"""What every shape of the API has in common, and how a node is named in all of them."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Frozen, and nothing beyond what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeName(Shape):
    """Which node, for people."""

    id: str
    name: str
    site: str
