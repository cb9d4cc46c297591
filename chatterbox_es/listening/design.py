"""Which questions a test asks, and in which order it asks each listener: the design, fixed before anyone listens."""

import dataclasses
import hashlib
import itertools
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.files import errors_are_said, write_whole
from chatterbox_es.listening.latin_square import williams
from chatterbox_es.listening.scales import METHODS, SCALES

REFERENCE, ANCHOR, INSTRUCTION = "reference", "anchor", "instruction"
DESIGN_FILE, PAGE_FILE = "design.json", "test.html"
MOST_ORDERS = 120  # of a MUSHRA test; every sentence first and every order of the conditions could be many hundreds


@dataclass(frozen=True)
class Stimulus:
    """One sound. An instruction's item is the answer that it asks for."""

    item: str
    system: str


@dataclass(frozen=True)
class Trial:
    """One question about one sound (MOS), two (AB, CMOS) or several (MUSHRA); ``stimuli`` are ids.

    ``expected`` is the answer that an attention check asks for. In AB and CMOS a check against the anchor takes every
    answer of that sign. None: an ordinary question.
    """

    stimuli: tuple[str, ...]
    expected: int | None = None
    by_sign: bool = False


@dataclass(frozen=True)
class Presentation:
    """A trial in a listener's order, with its sounds in the order in which they are shown."""

    trial: str
    stimuli: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """When a listener's answers are left out; fixed with the design, before there are any."""

    failed_checks: float = 1 / 3  # a greater share of the attention checks answered wrong
    reference_below: float = 90  # MUSHRA: a hidden reference below this …
    reference_share: float = 0.15  # … in a greater share of the sentences (BS.1534-3, 4.1.2)
    constant_trials: int = 8  # the same answer throughout, to at least this many questions
    too_fast_share: float = 0.2  # a greater share of answers in less time than the sounds last
    correlation: float = 0.2  # a lower correlation with the mean of the others …
    correlation_trials: int = 10  # … over at least this many sounds or pairs that others judged too …
    agreement: float = 0.4  # … and only where the median listener reaches this: equal systems give nobody agreement


@dataclass(frozen=True)
class Design:
    """All of a test but its sounds. ``orders`` are the rows of the Latin square that listeners are given."""

    method: str
    question: str
    conditions: tuple[str, ...]  # systems, with reference and anchor where they are judged
    items: tuple[str, ...]
    stimuli: dict[str, Stimulus]
    trials: dict[str, Trial]
    orders: tuple[tuple[Presentation, ...], ...]
    balanced_after: int  # listeners
    rules: Rules = field(default_factory=Rules)
    texts: dict[str, str] = field(default_factory=dict)  # item → words that are shown
    seconds: dict[str, float] = field(default_factory=dict)  # stimulus → length
    seed: int = 0

    @property
    def test(self) -> str:
        """The test's id: another design has another."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:16]

    def condition_of(self, stimulus: str) -> str:
        return self.stimuli[stimulus].system

    def minutes(self, order: int = 0) -> float:
        """What a listener will need about: every sound once (MUSHRA: twice), 4 s for each answer."""
        shown = [stimulus for presentation in self.orders[order] for stimulus in presentation.stimuli]
        heard = (2 if self.method == "mushra" else 1) * sum(self.seconds.get(stimulus, 0) for stimulus in shown)
        answers = len(shown) if self.method == "mushra" else len(self.orders[order])
        return (heard + 4 * answers) / 60

    def _content(self) -> dict:
        return dataclasses.asdict(self)

    def write(self, folder: Path) -> None:
        write_whole(folder / DESIGN_FILE, json.dumps({"test": self.test, **self._content()}, ensure_ascii=False).encode())

    @classmethod
    def read(cls, folder: Path) -> "Design":
        """The design in a test's folder.

        Raises:
            UserError: it is not there or damaged.
        """
        path = Path(folder) / DESIGN_FILE
        if not path.exists():
            raise UserError(f"test={folder}: there is no {DESIGN_FILE}; make the test with `build … out={folder}`")
        try:
            with errors_are_said(path):
                content = json.loads(path.read_text(encoding="utf-8"))
            written = content.pop("test")
            content["stimuli"] = {name: Stimulus(**value) for name, value in content["stimuli"].items()}
            content["trials"] = {name: Trial(**value | {"stimuli": tuple(value["stimuli"])})
                                 for name, value in content["trials"].items()}
            content["orders"] = tuple(tuple(Presentation(p["trial"], tuple(p["stimuli"])) for p in order)
                                      for order in content["orders"])
            content |= {"rules": Rules(**content["rules"]), "conditions": tuple(content["conditions"]),
                        "items": tuple(content["items"])}
            design = cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}): build the test again in another folder") from error
        if design.test != written:
            raise UserError(f"{path} was changed after the test was built: its answers would be read wrongly; restore it")
        return design


def plan(method: str, systems: list[str], items: list[str], *, reference: bool = False, anchor: bool = False,
         heard: str = "all", pairs: str = "all", checks: int = 3, seed: int = 0, question: str = "",
         rules: Rules | None = None, texts: dict[str, str] | None = None) -> Design:
    """The design of a test of ``systems`` on ``items``.

    MOS: one sound a question. Every listener hears every sentence from every condition (``heard="all"``), or every
    sentence once, from conditions in Latin-square turns (``"once"``, as in the Blizzard Challenge). AB, CMOS: two
    conditions a question, all pairs or each system against the reference; over the orders either sound comes first
    equally often. MUSHRA: all conditions of a sentence on one page, the reference hidden among them and open beside
    them. Orders are Williams' (`latin_square.williams`).

    ``checks`` questions are spoken instructions with a known answer ("trapping questions", ITU-T P.808, 6.3.2); AB and
    CMOS with reference and anchor have one more, these two ("gold standard"). In MUSHRA every page is such a check.

    Raises:
        UserError: naming what does not go together.
    """
    _check(method, systems, items, reference, anchor, heard, pairs, checks)
    shuffled = random.Random(seed)
    items = shuffled.sample(items, len(items))
    compared = [*systems, REFERENCE] if reference else list(systems)
    judged = [*compared, ANCHOR] if anchor and method in ("mos", "mushra") else compared
    names = [(item, system) for item in items for system in judged]
    if anchor and method in ("ab", "cmos") and checks:
        names.append((items[0], ANCHOR))
    ids = {name: f"s{number:04d}" for number, name in enumerate(shuffled.sample(names, len(names)))}
    stimuli = {ids[name]: Stimulus(*name) for name in sorted(ids, key=ids.__getitem__)}
    maker = _Orders(method, items, ids, judged, heard, pairs)
    orders = maker.make()
    trials = dict(sorted(maker.trials.items()))
    checking = _checks(method, checks, items, ids, stimuli, trials, reference and anchor)
    orders = [_with_checks(order, checking, number, shuffled) for number, order in enumerate(orders)]
    return Design(method, question or SCALES[method].question, tuple(judged), tuple(items), stimuli, trials,
                  tuple(tuple(order) for order in orders), maker.balanced_after, rules or Rules(), texts or {}, {}, seed)


def _check(method: str, systems: list[str], items: list[str], reference: bool, anchor: bool, heard: str, pairs: str,
           checks: int) -> None:
    for name, value, allowed in (("method", method, METHODS), ("heard", heard, ("all", "once")),
                                 ("pairs", pairs, ("all", "reference"))):
        if value not in allowed:
            raise UserError(f"{name}={value}: must be one of {', '.join(allowed)}")
    if not systems or not items:
        raise UserError("a test needs at least one system and one sentence")
    reserved = set(systems) & {REFERENCE, ANCHOR, INSTRUCTION}
    if reserved or len(set(systems)) < len(systems):
        raise UserError(f"systems={','.join(systems)}: names must differ and not be {REFERENCE}, {ANCHOR} or {INSTRUCTION}")
    if method == "mushra" and not reference:
        raise UserError("method=mushra judges against a reference: name the recordings' folder with reference=DIR")
    if anchor and not reference:
        raise UserError("anchor=true: the anchor is made from the reference; give reference=DIR")
    if method in ("ab", "cmos") and len(systems) + reference < 2:
        raise UserError(f"method={method} compares two: give two systems, or one and reference=DIR")
    if pairs == "reference" and not reference:
        raise UserError("pairs=reference: give reference=DIR")
    if heard == "once" and method == "mushra":
        raise UserError("heard=once: in method=mushra all conditions of a sentence are heard together")
    if not 0 <= checks <= 9:
        raise UserError(f"checks={checks}: must be from 0 to 9")


class _Orders:
    """Orders for listeners, and the trials that occur in them."""

    def __init__(self, method: str, items: list[str], ids: dict[tuple[str, str], str], judged: list[str], heard: str,
                 pairs: str):
        self.method, self.items, self.ids, self.judged = method, items, ids, judged
        self.rounds_all = heard == "all"
        self.trials: dict[str, Trial] = {}
        self._known: dict[tuple[str, ...], str] = {}
        if method in ("ab", "cmos"):
            couples = itertools.combinations(judged, 2)
            self.turns: list[tuple[str, ...]] = [pair for pair in couples if pairs == "all" or REFERENCE in pair]
        else:
            self.turns = [(system,) for system in judged]
        self.square = williams(len(self.turns))
        self.balanced_after = len(self.square)

    def make(self) -> list[list[Presentation]]:
        if self.method == "mushra":
            return self._pages()
        rows, size = len(self.square), len(self.turns)
        blocks = [self.items[start:start + size] for start in range(0, len(self.items), size)]
        turns = [(row, first) for first in range(len(blocks)) for row in range(rows)]
        orders = [self._row(*turn, blocks, mirrored=False) for turn in turns]
        if self.method in ("ab", "cmos"):  # every order once more with first and second sound exchanged
            mirrored = [self._row(*turn, blocks, mirrored=True) for turn in turns]
            orders = [order for both in zip(orders, mirrored, strict=True) for order in both]
            self.balanced_after *= 2
        return orders

    def _row(self, row: int, first: int, blocks: list[list[str]], mirrored: bool) -> list[Presentation]:
        """Blocks of as many sentences as there are conditions: each condition once a block, in a row of the square.

        ``row`` turns the square, ``first`` says which block begins.
        """
        rows, size, order = len(self.square), len(self.turns), []
        for turn in range(size if self.rounds_all else 1):
            for place in range(len(blocks)):
                number = (place + first + turn) % len(blocks)
                for condition in self.square[(row + number + turn) % rows]:
                    which = (condition + row + turn) % size
                    if which < len(blocks[number]):
                        swap = ((number * size + which + turn + row) % 2 == 1) != mirrored
                        names = self.turns[condition][::-1] if swap else self.turns[condition]
                        order.append(self._present(blocks[number][which], names))
        return order

    def _pages(self) -> list[list[Presentation]]:
        rows, pages = len(self.square), len(self.items)
        orders = []
        for turn in range(rows * max(1, min(pages, MOST_ORDERS // rows))):
            row, first = turn % rows, turn // rows
            order = []
            for place in range(pages):
                number = (place + first) % pages
                shown = [self.judged[condition] for condition in self.square[(row + number) % rows]]
                order.append(self._present(self.items[number], tuple(shown)))
            orders.append(order)
        return orders

    def _present(self, item: str, systems: tuple[str, ...]) -> Presentation:
        shown = tuple(self.ids[item, system] for system in systems)
        key = tuple(sorted(shown)) if self.method == "mushra" else shown
        if key not in self._known:
            self._known[key] = f"t{len(self._known):04d}"
            self.trials[self._known[key]] = Trial(key)
        return Presentation(self._known[key], shown)


def _checks(method: str, count: int, items: list[str], ids: dict[tuple[str, str], str], stimuli: dict[str, Stimulus],
            trials: dict[str, Trial], gold: bool) -> list[Presentation]:
    """Add the attention checks to stimuli and trials; in which order they come is left to `_with_checks`."""
    if method == "mushra" or count == 0:
        return []
    values = [value for value, _ in SCALES[method].options]
    # Ends and middle in turn: who always gives one answer fails most.
    values = [values[place] for place in sorted(range(len(values)), key=lambda place: (place % 2, place * 7 % len(values)))]
    checks = []
    for number in range(count):
        value = values[number % len(values)]
        stimulus, trial = f"i{number}", f"c{number}"
        stimuli[stimulus] = Stimulus(str(value), INSTRUCTION)
        trials[trial] = Trial((stimulus,) * (1 if method == "mos" else 2), expected=value)
        checks.append(Presentation(trial, trials[trial].stimuli))
    if gold and method in ("ab", "cmos"):
        shown = (ids[items[0], ANCHOR], ids[items[0], REFERENCE])
        trials["gold"] = Trial(shown, expected=1, by_sign=True)
        checks.append(Presentation("gold", shown))
    return checks


def _with_checks(order: list[Presentation], checks: list[Presentation], row: int, chance: random.Random) -> list[Presentation]:
    """An order with the checks spread over it, not at its very beginning, at places that listeners cannot foresee."""
    turned = checks[row % len(checks):] + checks[:row % len(checks)] if checks else []
    whole = list(order)
    for number, check in reversed(list(enumerate(turned, 1))):
        middle = number * len(order) / (len(turned) + 1)
        wobble = chance.uniform(-0.3, 0.3) * len(order) / (len(turned) + 1)
        whole.insert(min(len(order), max(1, round(middle + wobble))), check)
    return whole
