"""What the schema's types do not see: ranges, and settings that do not go together. The one place that checks them."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from chatterbox_es.config.schema import Config, Declared, declared
from chatterbox_es.errors import UserError

LARGEST = 2**31 - 1  # of whole numbers that have no bound of their own
WORDS = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}
FEWEST_LINES = 9  # of a spectrum that mels are made of: sets of mels are compared by as many bands


def check(config: Config) -> None:
    """
    Raises:
        UserError: naming the first key whose value is out of its range, or does not go with another one.
    """
    try:
        for key, value in settings(config):
            check_value(key, value)
        wrong = next(contradictions(config), None)
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration cannot be read: {str(error).splitlines()[0]} ({error.full_key})") from error
    if wrong:
        raise UserError(wrong)


def settings(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each key and value of a configuration, lists as a whole; what has no value yet is left out."""
    for name in node:
        if OmegaConf.is_missing(node, name):
            continue
        value, key = node[name], f"{prefix}{name}"
        if isinstance(value, DictConfig):
            yield from settings(value, f"{key}.")
        else:
            yield key, value


def check_value(key: str, value: Any) -> None:
    """
    Raises:
        UserError: the value of that key is out of its range, or none of its choices.
    """
    known = declared(key)
    for one in value if isinstance(value, list | ListConfig) else [value]:
        if known and known.choices and one is not None and one not in known.choices:
            raise UserError(f"{key}={value}: must be {in_words(known)}")
        if known and isinstance(one, int | float) and not isinstance(one, bool) and not is_within(one, known.bounds):
            large = one > LARGEST and "at_most" not in known.bounds
            raise UserError(f"{key}={value}: must be {'a number below 2^31' if large else in_words(known) or 'finite'}")


def is_within(value: float, bounds: Mapping[str, float]) -> bool:
    """Whether a number is finite and within the bounds of its key."""
    most = LARGEST if isinstance(value, int) else sys.float_info.max
    return (-most <= value <= most and bounds.get("at_least", -most) <= value <= bounds.get("at_most", most)
            and bounds.get("above", -math.inf) < value < bounds.get("below", math.inf))


def in_words(known: Declared) -> str:
    """The choices or the range of a key, as help and errors say them; empty where it has neither."""
    if known.choices:
        return " | ".join(map(str, known.choices))
    return " and ".join(f"{WORDS[bound]} {limit:g}" for bound, limit in known.bounds.items())


def contradictions(config: Config) -> Iterator[str]:
    """What is wrong with values that are right by themselves, in words."""
    mel, phase, hw = config.mel, config.phase, config.hw
    model: Any = config.model  # of whichever kind
    if not mel.hop <= mel.window <= mel.n_fft:
        yield f"mel.hop={mel.hop} mel.window={mel.window} mel.n_fft={mel.n_fft}: each must be at most the next"
    if not mel.f_min < mel.f_max <= mel.sample_rate / 2:
        yield f"mel.f_max={mel.f_max:g}: must be above mel.f_min and at most half of mel.sample_rate={mel.sample_rate}"
    elif (mel.f_max - mel.f_min) * mel.n_fft < FEWEST_LINES * mel.sample_rate:
        yield (f"mel.f_max={mel.f_max:g}: from mel.f_min={mel.f_min:g} to it lie fewer than {FEWEST_LINES} lines of a spectrum "
               f"of mel.n_fft={mel.n_fft} samples; take a higher one, or a longer spectrum")
    if "heads" in model and model.width % model.heads:
        yield f"model.heads={model.heads}: must divide model.width={model.width}"
    if "width" in model and model.width % 4:
        yield f"model.width={model.width}: must be a multiple of 4, for sines and cosines of two positions"
    objective, train = config.sweep.objective, config.train
    if objective != "val_loss" and not train.listen:
        yield f"sweep.objective={objective} is heard while a run trains: say of how many sentences, as in train.listen=6"
    if objective == "wer" and not train.recogniser:
        yield "sweep.objective=wer needs who hears words: train.recogniser=whisper:base (docs/intelligibility.md)"
    if (model.name == "vocoder") != (phase.trains == "vocoder"):
        yield f"model={model.name} phase={phase.name}: a vocoder is trained by phase=vocoder, which names its model itself"
    if len(phase.betas) != 2:
        yield f"phase.betas={phase.betas}: must be two numbers, such as [0.9,0.98]"
    if hw.accelerator == "cpu" and hw.precision == "16-mixed":
        yield "hw.precision=16-mixed: a CPU does not train in fp16; use auto, 32-true or bf16-mixed, or hw=t4 on a GPU"
    if hw.accelerator == "cpu" and hw.pin_memory:
        yield "hw.pin_memory=true: there is no GPU to copy to with hw.accelerator=cpu; leave it out, or hw=t4 on a GPU"
