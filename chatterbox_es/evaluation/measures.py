"""Which measures there are, and what each needs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.cepstra import MelCepstralDistortion, Pairs
from chatterbox_es.evaluation.naturalness import Dnsmos, Predictor
from chatterbox_es.evaluation.prosody import Prosody
from chatterbox_es.evaluation.sounds import Measure
from chatterbox_es.evaluation.speaker_similarity import SpeakerSimilarity
from chatterbox_es.speech import Voice

ALWAYS = ("cepstra", "prosody", "naturalness", "speed")
HEARD = ("intelligibility", "dialect")  # what needs a recogniser
MEASURES = (*ALWAYS, "predictor", "speaker_similarity", *HEARD)


@dataclasses.dataclass
class MeasureOptions:
    recogniser: str = dataclasses.field(default="", metadata={"help": "whisper[:MODEL], vosk:DIR or pocketsphinx:DIR"})
    predictor: str = dataclasses.field(default="", metadata={"help": "ONNX file that predicts naturalness"})
    predictor_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})
    speaker: str = dataclasses.field(default="", metadata={"help": "ONNX file that embeds speakers"})
    speaker_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})


def build_measures(options: MeasureOptions, dialect: str, asked: Sequence[str] = (),
                   voices: Mapping[str, Voice] | None = None, kept: Path | None = None, sentences: int = 0) -> list[Measure]:
    """The measures that were asked for, or all that what was given allows; ``voices`` by system, for those that let them speak.

    ``kept`` is a folder for scores of recordings that later evaluations need again; ``sentences`` is how many are expected.

    Raises:
        UserError: an unknown one, or one whose package or model is missing.
    """
    unknown = [name for name in asked if name not in MEASURES]
    if unknown:
        raise UserError(f"measures={','.join(asked)}: there is no measure {unknown[0]}; there are {', '.join(MEASURES)}")
    given = {"predictor": options.predictor, "speaker_similarity": options.speaker} | dict.fromkeys(HEARD, options.recogniser)
    for name in asked:
        if not given.get(name, True):
            key = {"predictor": "predictor", "speaker_similarity": "speaker"}.get(name, "recogniser")
            raise UserError(f"{name} needs {key}=… (see --help)")
    wanted = asked or [*ALWAYS, *(name for name, value in given.items() if value)]
    measures: list[Measure] = []
    if {"cepstra", "prosody"} & set(wanted):
        pairs = Pairs(sentences=sentences)
        measures += [kind(pairs) for name, kind in (("cepstra", MelCepstralDistortion), ("prosody", Prosody)) if name in wanted]
    if "naturalness" in wanted:
        measures.append(Dnsmos(kept / "dnsmos.json" if kept else None))
    if "predictor" in wanted:
        measures.append(Predictor(Path(options.predictor), options.predictor_rate))
    if "speaker_similarity" in wanted:
        measures.append(SpeakerSimilarity(Path(options.speaker), options.speaker_rate))
    return measures + (_heard(options, wanted, bool(asked), dialect, voices or {}) if set(HEARD) & set(wanted) else [])


def _heard(options: MeasureOptions, wanted: Sequence[str], is_asked: bool, dialect: str,
           voices: Mapping[str, Voice]) -> list[Measure]:
    """The measures that a recogniser makes; the dialect only by one that can align, unless they were asked for."""
    try:
        from chatterbox_es.evaluation.contrasts import Contrasts
        from chatterbox_es.evaluation.intelligibility import Intelligibility
        from chatterbox_es.evaluation.recognisers import load_recogniser
    except ImportError as error:
        raise UserError(f"a package of recognisers is missing ({error}): pip install 'chatterbox-es[evaluate]'") from None
    recogniser = load_recogniser(options.recogniser, dialect)
    measures: list[Measure] = [Intelligibility(recogniser, dialect)] if "intelligibility" in wanted else []
    if "dialect" in wanted and (is_asked or hasattr(recogniser, "align")):
        measures.append(Contrasts(recogniser, dialect, voices))
    return measures


def measure_of(figure: str) -> str | None:
    """The measure that makes a figure."""
    for kind in (MelCepstralDistortion, Prosody, Dnsmos, SpeakerSimilarity):
        if figure in kind.figures:
            return kind.name
    if figure.startswith("predictor_"):
        return "predictor"
    return "intelligibility" if figure in ("wer", "cer", "per") else "dialect" if figure == "contrasts" else None
