"""Which utterances a run leaves out on purpose: by rules over what was measured of them (`data.drop`), and by a list
(`data.drop_list`)."""

import functools
import json
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chatterbox_es.audio.quality import QUALITY
from chatterbox_es.dataset.duplicates import first_of_same, first_of_same_audio
from chatterbox_es.errors import UserError
from chatterbox_es.files import read_utf8

METRICS = tuple(name for name in QUALITY.fields or () if name not in ("audio", "fingerprint", "text"))
"""What a rule can compare with a number."""

DUPLICATES = {"duplicate_audio": "the recording", "duplicate_text": "the text"}
"""What a rule can name by itself: all but the first of those that are the same."""

_SIGNS: dict[str, Callable] = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
_RULE = re.compile(r"(\w+)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """`metric sign limit`, or one of `DUPLICATES` alone."""

    metric: str
    sign: str = ""
    limit: float = 0.0

    @classmethod
    def parse(cls, written: str) -> "Rule":
        """Raises UserError, which names what is wrong and what there is."""
        if written in DUPLICATES:
            return cls(written)
        parts = _RULE.fullmatch(written)
        metric = parts[1] if parts else re.split(r"\W", written, maxsplit=1)[0]
        if metric not in METRICS:
            also = " (a voice finds it: lint run=RUN only=alignment format=json out=FILE, then data.drop_list=FILE)"
            raise UserError(f"data.drop: {metric or written!r} is not measured{also if metric == 'alignment' else ''}; "
                            f"use one of {', '.join((*METRICS, *DUPLICATES))}")
        try:
            if parts is None:
                raise ValueError(written)
            return cls(metric, parts[2], float(parts[3]))
        except ValueError:
            raise UserError(f"data.drop: {written!r} is no rule; write {metric}<NUMBER or {metric}>NUMBER") from None

    @property
    def reason(self) -> str:
        return f"drop:{self.metric}{self.sign}{self.limit:g}" if self.sign else f"drop:{self.metric}"

    def find(self, quality: np.ndarray) -> np.ndarray:
        """(utterances,) bool, true for those that the rule leaves out."""
        if self.sign:
            return _SIGNS[self.sign](quality[self.metric].astype(np.float64), self.limit)
        first = first_of_same_audio(quality) if self.metric == "duplicate_audio" else first_of_same(quality["text"])
        return first != np.arange(len(quality))


class Exclusions:
    """Rules and a list, read once; `unknown` are listed ids that the last `find` did not meet."""

    def __init__(self, rules: Iterable[Rule] = (), listed: dict[str, str] | None = None):
        self.rules, self.listed = list(rules), dict(listed or {})
        self.unknown: list[str] = []

    @classmethod
    def of(cls, drop: str | None, drop_list: str | None = None) -> "Exclusions":
        """From the configuration: rules with commas between, and a file of ids.

        Raises:
            UserError: an unknown metric, no rule, no such file.
        """
        written = [part.strip() for part in (drop or "").split(",")]
        return cls([Rule.parse(part) for part in written if part], read_list(Path(drop_list)) if drop_list else {})

    def __bool__(self) -> bool:
        return bool(self.rules or self.listed)

    def find(self, quality: np.ndarray, ids: Iterable[str]) -> dict[int, tuple[str, str]]:
        """The utterances that are left out, by number: the reason, as a code, and as a sentence.

        ``quality`` are `QUALITY` records (utterances,), ``ids`` the utterances' in the same order. The first rule that
        holds gives the reason.
        """
        found: dict[int, tuple[str, str]] = {}
        remaining = set(self.listed)
        if self.listed:
            for number, id in enumerate(ids):
                if id in self.listed:
                    found[number] = ("drop:listed", self.listed[id] or "it stands in the list")
                    remaining.discard(id)
        self.unknown = sorted(remaining)
        for rule in self.rules:
            for number in np.flatnonzero(rule.find(quality)).tolist():
                if number not in found:
                    found[number] = (rule.reason, _sentence(rule, quality[number]))
        return found


def _sentence(rule: Rule, record: np.void) -> str:
    if not rule.sign:
        return f"{DUPLICATES[rule.metric]} is another row's too, which is kept"
    return f"{rule.metric} is {float(record[rule.metric]):.4g}"


@functools.lru_cache(maxsize=2)
def read_list(path: Path) -> dict[str, str]:
    """Ids with the reason, if one is given: `id`, `id|reason` or a JSON object with both a line; `#` begins a comment.

    Raises:
        UserError: no such file, or a line that is none of these.
    """
    lines = read_utf8(path.expanduser(), "data.drop_list").splitlines()
    listed: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("{"):
            try:
                stored = json.loads(line)
                listed[str(stored["id"])] = str(stored.get("reason", ""))
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{path}, line {number}: is no JSON object with an id") from None
            continue
        id, _, reason = line.partition("|")
        listed[id.strip()] = reason.strip()
    return listed
