"""A checkpoint and its vocoder as a voice of Piper, or of sherpa-onnx: the graph of `onnx_export` between what Piper gives and
takes (`piper_graph`), and the file beside it that says what the numbers mean.
"""

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chatterbox_es import __version__
from chatterbox_es.audio.vocoder import Vocoder
from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.families import checkpoint_of_mels
from chatterbox_es.models.mel_vocoder import NeuralVocoder
from chatterbox_es.speech import piper_graph
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.onnx_export import (
    SOUND_TOLERANCE,
    TOLERANCE,
    is_tie,
    require_onnx,
    sounds_apart,
    to_onnx,
    vocoder_graph,
    voice_graph,
)
from chatterbox_es.speech.onnx_vocoder import SAMPLES, with_vocoder
from chatterbox_es.speech.onnx_voice import file_digest, start_session
from chatterbox_es.speech.voice import MelVoice
from chatterbox_es.text import espeak
from chatterbox_es.text.dialects import DIALECTS, Dialect

PIPER, SHERPA = "piper", "sherpa"
TOKENS, MELS = "tokens.txt", "log_mels"
COUNTRIES = {"es_ES": "Spain", "es_419": "Latin America", "es_MX": "Mexico", "es_AR": "Argentina",
             "es_DO": "Dominican Republic"}
SAID = ("sˈi.", "ˈola, kˈomo estˈas?", "tɾesθjˈentos tɾˈeɪntaitɾˈes tɾˈistes tˈiɣɾes tɾaɣˈaβan tɾˈiɣo en ˈun tɾiɣˈal.")  # by es
SPEEDS, CHANCES = (1.0, 0.7), (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class PiperVoice:
    """A checkpoint of mels, in one dialect, that is to be a voice of Piper."""

    checkpoint: Checkpoint  # with its speakers, if it has several
    dialect: Dialect
    vocoder: NeuralVocoder
    source: str  # SHA-256 of its file

    @property
    def speakers(self) -> Sequence[str]:
        """By the number that Piper calls them; empty where there is one voice."""
        return self.checkpoint.model.get("speakers", ())

    def graph(self) -> Any:
        """The whole as an ``onnx.ModelProto``, whose second output are the log-mels (frames, bins)."""
        import onnx

        # a flow would cost two thirds of the time for nothing: no slider stands for `tau`, which is 0 where nothing is said
        voice = with_vocoder(voice_graph(self.checkpoint, flows=False), vocoder_graph(self.vocoder))
        wanted = {value.name: len(value.type.tensor_type.shape.dim) for value in voice.graph.input if value.name != "sid"}
        example = torch.tensor([[1, 0, 3, 0, 2]]), torch.tensor([5]), torch.tensor([piper_graph.NOISE, 1, piper_graph.NOISE_W])
        front = to_onnx(piper_graph.PiperFront(self.dialect, wanted), example,
                        ({1: torch.export.Dim("numbers", min=1, max=100_000)}, None, None), piper_graph.INPUTS, list(wanted))
        front = onnx.compose.add_prefix(front, "piper.", rename_inputs=False)
        sound = to_onnx(piper_graph.PiperSound(), (torch.zeros(7),), ({0: torch.export.Dim("count", min=1)},), ["loud"],
                        [piper_graph.OUTPUT])
        sound = onnx.compose.add_prefix(sound, "sound.", rename_inputs=False, rename_outputs=False)
        spoken = onnx.compose.merge_models(front, voice, io_map=[(f"piper.{name}", name) for name in wanted],
                                           outputs=[SAMPLES, MELS])
        whole = onnx.compose.merge_models(spoken, sound, io_map=[(SAMPLES, "loud")], outputs=[piper_graph.OUTPUT, MELS])
        whole.graph.output.sort(key=lambda value: value.name != piper_graph.OUTPUT)
        del whole.graph.value_info[:]  # in which lengths of one part have the names that those of another have
        return whole

    def facts(self) -> dict[str, str]:
        """The graph's metadata: who made it of what, and what sherpa-onnx reads."""
        described = self.checkpoint.describe()
        return {"format": "chatterbox_es piper 1", "source": self.source, "vocoder": self.vocoder.name,
                "vocoder_source": file_digest(self.vocoder.path), "dialect": self.dialect.name,
                "lineage": json.dumps(described["lineage"], ensure_ascii=False), "model_type": "vits", "comment": "piper",
                "language": "Spanish", "voice": espeak.voice_of(self.dialect), "has_espeak": "1", "version": "1",
                "n_speakers": str(max(1, len(self.speakers))), "sample_rate": str(self.checkpoint.contract.sample_rate)}

    def config(self, name: str) -> dict[str, Any]:
        """What Piper reads beside the graph, ``.onnx.json``."""
        contract, locale = self.checkpoint.contract, self.dialect.locale
        return {
            "audio": {"sample_rate": contract.sample_rate, "quality": "medium"},
            "espeak": {"voice": espeak.voice_of(self.dialect)},
            "language": {"code": locale, "family": "es", "region": locale.partition("_")[2], "name_native": "Español",
                         "name_english": "Spanish", "country_english": COUNTRIES[locale]},
            "dataset": name,
            "inference": {"noise_scale": piper_graph.NOISE, "length_scale": 1, "noise_w": piper_graph.NOISE_W},
            "phoneme_type": "espeak", "phoneme_map": {}, "piper_version": "1.0.0",
            "phoneme_id_map": {character: [number] for character, number in espeak.NUMBER.items()},
            "num_symbols": len(espeak.NUMBER), "num_speakers": max(1, len(self.speakers)),
            "speaker_id_map": {speaker: number for number, speaker in enumerate(self.speakers)}, "hop_length": contract.hop,
        }


def piper_voice(path: Path, vocoder: Vocoder, speaker: str = "", dialect: str = "") -> PiperVoice:
    """What can be exported of a checkpoint; with a ``speaker`` that one alone, in a ``dialect`` if it is not to be its own.

    Raises:
        UserError: the checkpoint cannot be read, or is no voice yet; there is no such speaker or dialect, or no
            vocoder that a graph can hold.
    """
    loaded, _ = checkpoint_of_mels(path)
    if loaded.phase == "4_2":
        raise UserError(f"{path} is of phase 4_2, which trains the encoder alone and cannot speak well: export a run "
                        "of phase 4_3")
    if not isinstance(vocoder, NeuralVocoder):
        raise UserError(f"Piper and sherpa-onnx need the sound in the graph, and {vocoder.name} cannot be in one: no trained "
                        f"vocoder takes this voice's mels ({loaded.contract.sample_rate} Hz, {loaded.contract.bins} bins). "
                        "Train one: python -m chatterbox_es.train phase=vocoder model.voice=RUN")
    dialect = dialect or loaded.front_end["dialect"]
    if dialect not in DIALECTS:
        raise UserError(f"dialect={dialect} is not known; use one of {', '.join(DIALECTS)}")
    several = len(loaded.model.get("speakers", ())) > 1 and not speaker
    loaded = loaded.fold("dialect", dialect) if several else loaded.as_speaker(speaker, dialect)
    front_end = {**loaded.front_end, "dialect": dialect}
    return PiperVoice(dataclasses.replace(loaded, front_end=front_end), DIALECTS[dialect], vocoder, file_digest(path))


def export_piper(voice: PiperVoice, out: Path, kind: str = PIPER) -> str:
    """Write a voice as ONNX and what Piper or sherpa-onnx (``kind``) reads beside it, if it says what the checkpoint says.

    Returns:
        How near it comes, for people.

    Raises:
        UserError: a package is missing, the graph says something else, or it cannot be written.
    """
    onnx = require_onnx()
    proto = voice.graph()
    onnx.helper.set_model_props(proto, voice.facts())
    proto.producer_name, proto.producer_version = "chatterbox_es", __version__
    onnx.checker.check_model(proto)
    whole = proto.SerializeToString()
    trial = out.with_name(f".{out.stem}.{os.getpid()}.onnx")
    try:
        write_whole(trial, lambda file: file.write(whole))
        agreement = compare(voice, start_session(trial, torch.get_num_threads()))
        del proto.graph.output[1]
        content = proto.SerializeToString()
        if kind == PIPER:
            config = json.dumps(voice.config(out.stem), ensure_ascii=False, indent=2)
            write_whole(out.with_name(f"{out.name}.json"), config.encode())
        else:
            lines = "".join(f"{character} {number}\n" for character, number in espeak.NUMBER.items())
            write_whole(out.with_name(TOKENS), lines.encode())
        write_whole(out, lambda file: file.write(content))
    except UserError as error:
        raise UserError(str(error).replace(str(trial), str(out))) from error
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return agreement


def numbers_of(characters: Sequence[str]) -> list[int]:
    """Piper's numbers of what espeak-ng wrote: framed, and a pad behind each."""
    begin, stop, pad = (espeak.NUMBER[character] for character in (espeak.BEGIN, espeak.STOP, espeak.PAD))
    return [begin, pad, *(number for character in characters for number in (espeak.NUMBER[character], pad)), stop]


def compare(voice: PiperVoice, session: Any) -> str:
    """Say some sentences with the graph and with torch: without chance, with as much as usual, and at two speeds.

    Raises:
        UserError: they have other lengths, log-mels by more than `TOLERANCE` apart, or sounds by more than `SOUND_TOLERANCE`.
    """
    mels_apart, apart, tau = [], [], 0.0 if voice.checkpoint.has_flow else None
    for place in sorted({0, max(0, len(voice.speakers) - 1)}):
        own = MelVoice(voice.checkpoint, "the voice", voice.dialect.name, voice.vocoder,
                       speaker=voice.speakers[place] if voice.speakers else "")
        for said, speed, chance in itertools.product(SAID, SPEEDS, CHANCES):
            ids = own.front_end.table.ids_of(espeak.tokens_of(said, voice.dialect.name))
            manner = Manner(speed, tau=tau) if chance else Manner(speed, temperature=0.0, tau=tau)
            part = piper_graph.noise_part(ids)
            samples, *mels = run(session, said, (chance * piper_graph.NOISE, 1 / speed, chance * piper_graph.NOISE_W),
                                 place if voice.speakers else None)
            expected = own.acoustic(ids, manner, part)[0]
            if len(mels[0]) == len(expected):
                mels_apart.append(float(np.abs(mels[0] - expected).max() / np.abs(expected).max()))
                # of the graph's own mels, since phases are sums over all frames before
                apart.append(sounds_apart(own.vocoder(mels[0]), samples[0, 0], voice.checkpoint.contract))
            elif not is_tie(own, ids, manner, part):
                mels_apart.append(float("inf"))
    if not apart or not max(mels_apart) <= TOLERANCE or not max(apart) <= SOUND_TOLERANCE:
        raise UserError("the exported graph sounds otherwise than the voice: log-mels differ by "
                        f"{max(mels_apart, default=0):.2g} of their largest value (allowed: {TOLERANCE:g}), the sounds' by "
                        f"{max(apart, default=0):.2g} on average (allowed: {SOUND_TOLERANCE:g}, {len(apart)} sayings compared)"
                        "; it was not kept")
    return (f"onnxruntime against torch, {len(apart)} sayings: log-mels at most {max(mels_apart):.1e} apart (allowed: "
            f"{TOLERANCE:g}), sounds {max(apart):.1e} (allowed: {SOUND_TOLERANCE:g})")


def run(session: Any, characters: Sequence[str], scales: tuple[float, float, float],
        place: int | None = None) -> list[np.ndarray]:
    """What the graph makes of what espeak-ng wrote; ``place`` is who speaks, of several."""
    numbers = numbers_of(characters)
    given = {"input": np.array([numbers]), "input_lengths": np.array([len(numbers)]), "scales": np.array(scales, np.float32)}
    if place is not None:
        given["sid"] = np.array([place])
    return session.run(None, given)
