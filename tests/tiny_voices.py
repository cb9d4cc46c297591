"""Voices and vocoders of random weights, as small as they can be."""

from collections.abc import Mapping
from pathlib import Path

import torch

from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.harmonics import harmonic_mels
from chatterbox_es.models.flow.checkpoint import Checkpoint
from chatterbox_es.models.flow.network import Flow
from chatterbox_es.models.vocoder.checkpoint import Checkpoint as VocoderCheckpoint
from chatterbox_es.models.vocoder.network import Vocoder
from chatterbox_es.text import SymbolTable
from chatterbox_es.text.symbols import SYMBOLS

CONTRACT = MelContract()
FLOW = {"symbols": 64, "width": 128, "layers": 1, "heads": 2, "feedforward": 256, "dropout": 0.1, "duration_hidden": 16,
        "decoder_blocks": 1, "decoder_expansion": 3.0, "flow_width": 16, "flow_blocks": 1, "flow_expansion": 4.0,
        "prosody": True}  # fmt: skip
PITCHES = {"dora": 92.0, "alex": 83.0}  # semitones above 1 Hz: 203 and 121 Hz
VOCODER = {"n_fft": 960, "upsampling": 2, "width": 16, "slow_blocks": 1, "blocks": 1, "expansion": 3.0, "pitch_width": 16,
           "pitch_blocks": 1}  # fmt: skip
NO_LEXICON = {"dialect": "castilian", "lexicon": ""}


def flow_voice(symbols: tuple[str, ...] = SYMBOLS, shift: float = 0.3, pitches: Mapping[str, float] = PITCHES) -> Checkpoint:
    """One that is told speakers apart and moves: all that begins at zero is random too."""
    torch.manual_seed(5)
    model = {**FLOW, "bins": CONTRACT.bins, "speakers": list(pitches)}
    network = Flow(**model)
    for weight in (network.flow_decoder.output.weight, network.speaker_embedding.embedding.weight):
        torch.nn.init.normal_(weight, std=0.5)
    network.prosody.harmonics.copy_(harmonic_mels(CONTRACT))
    network.prosody.statistics.copy_(torch.tensor([[88.0, 3, -40, 5], *([pitch, 3, -40, 5] for pitch in pitches.values())]))
    statistics = Statistics(torch.linspace(-6, -4, 80) + shift, torch.linspace(1.5, 2.5, 80))
    return Checkpoint(network.state_dict(), model, "4_3", CONTRACT, SymbolTable(symbols), statistics, NO_LEXICON,
                      {"data": "mix", "content": "other", "step": 7})


def write_vocoder(path: Path, seed: int = 1, contract: MelContract = CONTRACT) -> Path:
    torch.manual_seed(seed)
    vocoder = Vocoder(contract, **VOCODER)
    torch.nn.init.normal_(vocoder.head.weight, std=0.02)
    path.parent.mkdir(parents=True, exist_ok=True)
    VocoderCheckpoint(vocoder.state_dict(), VOCODER, "vocoder", contract, NO_LEXICON, {}).export(path, half=True)
    return path
