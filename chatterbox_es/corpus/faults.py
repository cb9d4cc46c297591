"""The faults of a corpus: gathered over all stages, written to a file, counted, and too many of them an error."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from chatterbox_es.corpus.utterance import Fault
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole


class LintReport:
    """Every row that is not used, and why. `path` is where `write` puts it, one JSON object a line."""

    def __init__(self, path: Path, faults: Iterable[Fault] = ()):
        self.path = Path(path)
        self.faults: list[Fault] = list(faults)

    def __len__(self) -> int:
        return len(self.faults)

    def add(self, row: int, id: str, reason: str, detail: str) -> None:
        self.faults.append(Fault(row, id, reason, detail))

    def extend(self, faults: Iterable[Fault]) -> None:
        self.faults.extend(faults)

    def counts(self) -> dict[str, int]:
        """Faults by reason, the most frequent first."""
        counted = Counter(fault.reason for fault in self.faults)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def summary(self) -> list[str]:
        """Lines for the screen: each reason with its count and its first row; one line when nothing is wrong."""
        if not self.faults:
            return ["lint: no row is left out"]
        lines = [f"lint: {len(self.faults)} rows left out, listed in {self.path}"]
        for reason, count in self.counts().items():
            lines.append(f"  {count:6d} {reason:<20} e.g. row {self._example(reason)}")
        return lines

    def write(self) -> Path:
        """Write the file, sorted by row, even when it is empty; the old one is replaced as a whole."""
        def write(file: BinaryIO) -> None:
            for fault in sorted(self.faults, key=lambda fault: fault.row):
                said = {key: value for key, value in asdict(fault).items() if value or key not in ("corpus", "excluded")}
                file.write(f"{json.dumps(said, ensure_ascii=False)}\n".encode())

        return write_whole(self.path, write)

    def check_share(self, total: int, max_share: float) -> None:
        """Raise UserError when more than `max_share` (0 to 1) of `total` rows are faulty, or all of them are left out.

        Rows that a filter left out are neither faulty nor counted in the share.
        """
        excluded = sum(fault.excluded for fault in self.faults)
        faults, total = len(self.faults) - excluded, total - excluded
        share = faults / max(total, 1)
        if not self.faults or (share <= max_share and faults < total):
            return
        reasons = "; ".join(
            f"{count} {reason} (row {self._example(reason)})" for reason, count in list(self.counts().items())[:3]
        )
        if not faults:
            raise UserError(
                f"filters leave out all {excluded} rows: {reasons}. All are listed in {self.path}: loosen the filters"
            )
        if faults >= total:
            limit, remedy = "no row can be used", "fix them"
        else:
            limit = f"above the limit of {max_share:.0%}"
            remedy = f"fix them, or go on without them with data.max_fault_share={min(share + 0.01, 1):.2f}"
        raise UserError(
            f"{faults} of {total} rows ({share:.1%}) cannot be used, {limit}: {reasons}. "
            f"All are listed in {self.path}: {remedy}"
        )

    def _example(self, reason: str) -> str:
        fault = next(fault for fault in self.faults if fault.reason == reason)
        return f"{fault.row}: {fault.detail}"
