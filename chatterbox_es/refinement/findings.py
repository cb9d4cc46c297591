"""What an evaluation says about a voice's weak places, read from its folder."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatterbox_es.audio.waveform import AudioError, read_audio
from chatterbox_es.dataset.feature_set import CARD, FeatureSet
from chatterbox_es.errors import UserError, sentence_of
from chatterbox_es.evaluation.intervals import Proportion
from chatterbox_es.evaluation.recogniser import PhoneRecogniser
from chatterbox_es.evaluation.sounds import RECORDINGS, REFERENCES
from chatterbox_es.refinement.phone_errors import Spoken, misheard_places
from chatterbox_es.text.symbols import PHONES

RATE = 24_000
RANKED_BY = ("per", "wer", "mcd")  # the first that the rows have
RARITY = ((0, 0, "0 times"), (1, 9, "1 to 9 times"), (10, 99, "10 to 99 times"), (100, 10**9, "100 times and more"))


@dataclasses.dataclass
class Evaluation:
    """An evaluation's folder: the rows of the voice and of its recordings, and the set that the voice was trained on."""

    folder: Path
    system: str
    rows: list[dict[str, Any]]
    recorded: dict[str, dict[str, Any]]  # utterance → row of the recordings
    features: FeatureSet
    dialect: str

    @classmethod
    def read(cls, folder: Path, system: str = "") -> "Evaluation":
        """The evaluation of ``system``, or of its first voice.

        Raises:
            UserError: it is not one, there is no such system, or the prepared set is gone or another one.
        """
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
            prepared, content, dialect = Path(summary["prepared"]), summary["content"], summary["dialect"]
            by_system: dict[str, list[dict]] = {}
            for row in rows:
                by_system.setdefault(row["system"], []).append(row | {"metrics": row["metrics"]})
        except OSError as error:
            raise UserError(f"evaluation={folder}: {sentence_of(error) or error}; name a folder that python -m "
                            "chatterbox_es.evaluate has written") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"evaluation={folder}: summary.json or rows.jsonl is damaged, or of an older version "
                            f"({error!r}); evaluate again") from None
        voices = [name for name in summary.get("checkpoints", by_system) if name not in REFERENCES]
        system = system or (voices or [""])[0]
        if system not in by_system:
            raise UserError(f"system={system}: {folder} has none of that name; there are {', '.join(by_system)}")
        if not (prepared / CARD).is_file():
            raise UserError(f"{prepared}, the prepared set of evaluation={folder}, is gone; prepare it and evaluate again")
        features = FeatureSet(prepared)
        if features.card["content"] != content:
            raise UserError(f"{prepared} has changed since evaluation={folder} was made; evaluate again")
        recorded = {row["utterance"]: row for row in by_system.get(RECORDINGS, [])}
        return cls(folder, system, by_system[system], recorded, features, dialect)

    def ranked_by(self) -> str:
        """The figure that sentences are ranked by.

        Raises:
            UserError: the rows have none of them.
        """
        for name in RANKED_BY:
            if any(name in row["metrics"] for row in self.rows):
                return name
        raise UserError(f"evaluation={self.folder}: no row of {self.system} has one of {', '.join(RANKED_BY)}; evaluate with "
                        "recogniser=… ")

    def worst(self) -> list[dict[str, Any]]:
        """Rows from the worst to the best; those without the figure are left out (the evaluation lists them)."""
        name = self.ranked_by()
        return sorted((row for row in self.rows if name in row["metrics"]), key=lambda row: -row["metrics"][name])

    def spoken(self, rows: Sequence[Mapping[str, Any]], recogniser: PhoneRecogniser | None) -> list[Spoken]:
        """What was to be said and what was heard, of the rows whose phones are known or can be listened to."""
        phonemes = self._phonemes()
        spoken = []
        for row in rows:
            said = phonemes.get(row["utterance"], ())
            heard = row.get("heard_phones") or ""
            if recogniser is not None and row.get("sound"):
                try:
                    heard = " ".join(recogniser.phones(read_audio(self.folder / row["sound"], RATE), RATE))
                except AudioError:  # silence is heard as nothing; a file that is gone is not
                    if not (self.folder / row["sound"]).is_file():
                        continue
                    heard = ""
            elif "per" not in row["metrics"]:
                continue
            names = recogniser.names_of(said) if recogniser is not None else _named(said, row.get("said_phones", ""))
            spoken.append(Spoken(row["utterance"], names, heard.split()))
        return spoken

    def _phonemes(self) -> dict[str, tuple[str, ...]]:
        """Utterance → phonemes as prepared."""
        features = self.features
        return {features.utterance(int(number))["id"]: features.symbols.symbols_of(features.token_ids(int(number)).tolist())
                for number in features.validation}


def _named(phonemes: Sequence[str], names: str) -> list[tuple[str, str]]:
    """Phonemes with the recogniser's names that an evaluation has stored; nothing where they are not of one reading."""
    sounds, named = [phoneme for phoneme in phonemes if phoneme in PHONES], names.split()
    return list(zip(sounds, named, strict=True)) if len(sounds) == len(named) else []


@dataclasses.dataclass
class Part:
    """Places of one kind, and how many of them are misheard."""

    name: str
    voice: Proportion
    recordings: Proportion


def parts(spoken: Sequence[Spoken], recorded: Sequence[Spoken], evaluation: Evaluation) -> list[Part]:
    """Places by stress, by the third of the sentence, and by how often the phone with its two neighbours stands in the
    training set: does rarity explain what is misheard?"""
    counts = _triples(evaluation.features)
    voice, natural = _tally(spoken, counts), _tally(recorded, counts)
    return [Part(name, voice[name], natural.get(name, Proportion(0, 0))) for name in sorted(voice)]


def _triples(features: FeatureSet) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for number in features.train:
        symbols = features.symbols.symbols_of(features.token_ids(int(number)).tolist())
        phones = [symbol for symbol in symbols if symbol in PHONES]
        counts.update(zip(phones, phones[1:], phones[2:], strict=False))
    return counts


def _tally(spoken: Sequence[Spoken], triples: Counter[tuple[str, ...]]) -> dict[str, Proportion]:
    places: Counter[str] = Counter()
    misheard: Counter[str] = Counter()
    for sentence in spoken:
        phones = [phoneme for phoneme, _ in sentence.said]
        for place, (phone, is_wrong) in enumerate(zip(phones, misheard_places(sentence), strict=True)):
            sort = "stressed vowels" if phone.startswith("ˈ") else "other vowels" if phone in "aeiou" else "consonants, glides"
            names = [f"sound: {sort}", f"sentence: {('1 beginning', '2 middle', '3 end')[3 * place // len(phones)]}"]
            if 0 < place < len(phones) - 1:
                seen = triples[tuple(phones[place - 1:place + 2])]
                names.append(next(f"seen in training: {name}" for low, high, name in RARITY if low <= seen <= high))
            places.update(names)
            misheard.update(names if is_wrong else ())
    return {name: Proportion(misheard[name], places[name]) for name in places}
