"""Which measures there are, and what each needs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatterbox_es.command_line import path_field
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.global_variance import GlobalVariance
from chatterbox_es.evaluation.mcd import MelCepstralDistortion, Pairs
from chatterbox_es.evaluation.predictors import DistillMos, Dnsmos, Predictor
from chatterbox_es.evaluation.prosody import Prosody
from chatterbox_es.evaluation.sounds import Measure, Metric
from chatterbox_es.evaluation.speaker_similarity import OnnxEmbedding, Resemblyzer, SpeakerSimilarity
from chatterbox_es.speech.voice import Voice

ALWAYS = ("distillmos", "dnsmos", "speaker_similarity", "mcd", "prosody", "variance", "speed")
HEARD = ("intelligibility", "dialect")  # what needs a recogniser
MEASURES = (*ALWAYS, "predictor", *HEARD)
PREDICTORS = ("distillmos", "dnsmos_ovrl", "predictor_")  # metrics of quality that decide together (`verdicts`), as they begin


@dataclasses.dataclass
class MeasureOptions:
    recogniser: str = dataclasses.field(default="", metadata={
        "help": "whisper:MODEL, vosk:DIR or pocketsphinx:DIR; nothing: whisper:base where its weights are installed; none"})
    predictor: str = path_field("ONNX file that predicts quality")
    predictor_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})
    speaker: str = path_field("ONNX file that embeds speakers; none: Resemblyzer")
    speaker_rate: int | None = dataclasses.field(default=None, metadata={"help": "Hz; none: as the file says, or 16000"})


def build_measures(options: MeasureOptions, dialect: str, asked: Sequence[str] = (),
                   voices: Mapping[str, Voice] | None = None, sentences: int = 0) -> list[Measure]:
    """The measures that were asked for, or all that what was given allows; ``voices`` by system, for those that let them speak.

    ``sentences`` is how many are expected, for measures that get ready while they are said.

    Raises:
        UserError: an unknown one, or one whose package or model is missing.
    """
    unknown = [name for name in asked if name not in MEASURES]
    if unknown:
        raise UserError(f"measures={','.join(asked)}: there is no measure {unknown[0]}; there are {', '.join(MEASURES)}")
    given = {"predictor": options.predictor} | dict.fromkeys(HEARD, options.recogniser)
    for name in asked:
        if not given.get(name, True):
            raise UserError(f"{name} needs {'predictor' if name == 'predictor' else 'recogniser'}=… (see --help)")
    wanted = asked or [*ALWAYS, *(name for name, value in given.items() if value)]
    measures: list[Measure] = []
    if "distillmos" in wanted:
        measures.append(DistillMos())
    if "dnsmos" in wanted:
        measures.append(Dnsmos())
    if "predictor" in wanted:
        measures.append(Predictor(Path(options.predictor), options.predictor_rate))
    if set(HEARD) & set(wanted):
        measures += _heard(options, wanted, bool(asked), dialect, voices or {})
    if "speaker_similarity" in wanted:
        measures.append(SpeakerSimilarity(OnnxEmbedding(Path(options.speaker), options.speaker_rate) if options.speaker
                                          else Resemblyzer()))
    if {"mcd", "prosody"} & set(wanted):
        pairs = Pairs(sentences=sentences)
        measures += [kind(pairs) for name, kind in (("mcd", MelCepstralDistortion), ("prosody", Prosody)) if name in wanted]
    return measures + ([GlobalVariance()] if "variance" in wanted else [])


def _heard(options: MeasureOptions, wanted: Sequence[str], is_asked: bool, dialect: str,
           voices: Mapping[str, Voice]) -> list[Measure]:
    """The measures that a recogniser makes; the dialect only by one that can align, unless they were asked for."""
    try:
        from chatterbox_es.evaluation.contrasts import Contrasts  # as the next two: packages of recognisers are optional
        from chatterbox_es.evaluation.intelligibility import Intelligibility
        from chatterbox_es.evaluation.recognisers import load_recogniser
    except ImportError as error:
        raise UserError(f"a package of recognisers is missing ({error}): pip install 'chatterbox-es[evaluate]'") from None
    recogniser = load_recogniser(options.recogniser, dialect)
    measures: list[Measure] = [Intelligibility(recogniser, dialect)] if "intelligibility" in wanted else []
    if "dialect" in wanted and (is_asked or hasattr(recogniser, "align")):
        measures.append(Contrasts(recogniser, dialect, voices))
    return measures


def measure_of(metric: str) -> str | None:
    """The measure that makes a metric."""
    found = next((kind.name for kind in KINDS if metric in kind.metrics), None)
    if found or metric in ("wer", "cer", "per"):
        return found or "intelligibility"
    return "predictor" if metric.startswith("predictor_") else "dialect" if metric == "contrasts" else None


def direction_of(metric: str) -> str:
    """What is better of a metric, as `Metric.better` says it; of one that is no evaluation's: lower."""
    known: dict[str, Metric] = {name: known for kind in KINDS for name, known in kind.metrics.items()}
    if metric in known:
        return known[metric].better
    return "higher" if metric.startswith("predictor_") or metric == "contrasts" else "lower"


KINDS = (DistillMos, Dnsmos, SpeakerSimilarity, MelCepstralDistortion, Prosody, GlobalVariance)
"""Those that are here without the packages of recognisers."""
