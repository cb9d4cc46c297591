"""Where weights come from: the checkpoints that a lineage names, one behind the other."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAYS = ("encoder_from", "finetuned_from")  # keys of a lineage; each is a checkpoint's path, whose own lineage is "of"
MOST = 50  # steps back; more of them is damage


@dataclasses.dataclass(frozen=True)
class Origin:
    """A checkpoint that weights were started from."""

    way: str  # of `WAYS`
    checkpoint: str
    lineage: dict[str, Any]  # its own: run, data, content, epoch, step, metrics; empty where that is not known

    @property
    def run(self) -> str:
        """The folder of its run."""
        return str(self.lineage.get("run") or Path(self.checkpoint).parent.parent)


def origins(lineage: Any) -> Iterator[Origin]:
    """What weights were started from, then what that was started from, as far back as a lineage can be read."""
    for _ in range(MOST):
        way = next((key for key in WAYS if isinstance(lineage, dict) and lineage.get(key)), None)
        if way is None:
            return
        parent = lineage.get("of") if isinstance(lineage.get("of"), dict) else {}
        yield Origin(way, str(lineage[way]), parent)
        lineage = parent
