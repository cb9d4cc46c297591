"""The weights that a run starts from: fresh ones, another run's text encoder, or another run's whole model."""

import logging
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from chatterbox_es.config import Fase4Run
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.initialisation import build_network, fitting_weights, load_weights, model_arguments
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.fase4.network import Fase4, MelDecoder
from chatterbox_es.models.starting_point import encoder_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint

log = logging.getLogger(__name__)
FRAMES = 2048  # a step of `fit_decoder`


def sizes_of(config: Fase4Run, features: FeatureSet) -> dict[str, Any]:
    """The arguments of `Fase4` for a run's configuration and data."""
    return model_arguments(config, features, ("decoder_start",))


def build_model(config: Fase4Run, features: FeatureSet) -> Fase4:
    """The model of a run's configuration, with fresh weights.

    Raises:
        UserError: it has too few rows for the symbol table.
    """
    return cast(Fase4, build_network(Fase4, sizes_of(config, features), features))


def start_model(config: Fase4Run, features: FeatureSet) -> tuple[Fase4, dict]:
    """The model that a run starts from, and where it comes from."""
    model = build_model(config, features)
    if config.train.finetune:
        path = final_checkpoint(Path(config.train.finetune))
        parent = Checkpoint.load(path)
        load_weights(model, fitting_weights(parent, model, features, str(path), finetune=True), str(path))
        return model, {"finetuned_from": str(path), "of": parent.lineage}
    if config.model.decoder_start == "mels":
        fit_decoder(model.mel_decoder, config.model.width, features, config.train.seed)
    if not config.phase.encoder_from:
        if config.model.decoder_start == "grown":
            raise UserError("model.decoder_start=grown needs a run whose decoder it grows from (phase=4_3, "
                            "train.encoder=RUN); without one write model.decoder_start=random")
        return model, {}
    path = encoder_checkpoint(config, features)
    parent = Checkpoint.load(path)
    known = fitting_weights(parent, model, features, str(path), finetune=False)
    kept = {name: weight for name, weight in known.items() if not name.startswith("mel_decoder.")}
    load_weights(model, kept | {n: w for n, w in model.state_dict().items() if n.startswith("mel_decoder.")}, str(path))
    log.info("text encoder from %s", path)
    if config.model.decoder_start == "grown":
        grow_decoder(model.mel_decoder, parent.weights, str(path))
    return model, {"encoder_from": str(path), "of": parent.lineage}


@torch.no_grad()
def grow_decoder(decoder: MelDecoder, parent: dict[str, torch.Tensor], name: str) -> None:
    """Let a decoder of three hidden layers say exactly what ``parent``'s of one says, with weights left over to learn with.

    GELU(x) − GELU(−x) = x, so a pair of rows W and −W passes a value on: the first layer is the parent's, the second says its
    states and their negatives, the third the parent's mels and their negatives in its first rows (the others stay random),
    and the output takes their differences. (Function-preserving growth, as Net2Net: Chen et al. 2016.)

    Raises:
        UserError: the sizes do not allow it.
    """
    layers = [layer for layer in decoder if isinstance(layer, nn.Linear)]
    if len(layers) != 4 or "mel_decoder.2.weight" not in parent or "mel_decoder.4.weight" in parent:
        raise UserError(f"model.decoder_start=grown makes three hidden layers of one; model.decoder_hidden has "
                        f"{len(layers) - 1}, and {name} {sum(key.startswith('mel_decoder.') for key in parent) // 2 - 1}. For "
                        "other sizes write model.decoder_start=random")
    first, second, third, output = layers
    states, bins = first.out_features, output.out_features
    weight, bias = parent["mel_decoder.2.weight"], parent["mel_decoder.2.bias"]
    if parent["mel_decoder.0.weight"].shape != first.weight.shape or second.out_features != 2 * states or (
            third.out_features < 2 * bins):
        raise UserError(f"model.decoder_start=grown: of {name}'s decoder with {weight.shape[1]} states it makes "
                        f"model.decoder_hidden=[{weight.shape[1]},{2 * weight.shape[1]},N], N at least {2 * bins}; "
                        "for other sizes write model.decoder_start=random")
    same = torch.eye(states)
    first.weight.copy_(parent["mel_decoder.0.weight"])
    first.bias.copy_(parent["mel_decoder.0.bias"])
    second.weight.copy_(torch.cat([same, -same]))
    second.bias.zero_()
    third.weight[:2 * bins] = torch.cat([torch.cat([weight, -weight], 1), torch.cat([-weight, weight], 1)])
    third.bias[:2 * bins] = torch.cat([bias, -bias])
    output.weight.zero_()
    output.weight[:, :2 * bins] = torch.cat([torch.eye(bins), -torch.eye(bins)], 1)
    output.bias.zero_()
    log.info("mel decoder grown from that of %s: before the first step it says the same", name)


def fit_decoder(decoder: MelDecoder, width: int, features: FeatureSet, seed: int, steps: int = 150) -> float:
    """Fit ``decoder`` in place to the training mels, as the decoder half of a small autoencoder; the error it ends with.

    The code between has the decoder's input ``width``, and near unit variance a dimension, as a text encoder's states begin.
    """
    bins = features.contract.bins
    encoder = nn.Sequential(nn.Linear(bins, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    random = torch.Generator().manual_seed(seed)
    train = torch.from_numpy(features.train)
    loss = torch.tensor(float("nan"))
    for step in range(steps):
        chosen = train[torch.randint(len(train), (8,), generator=random)].tolist()
        frames = torch.cat([features.mel(number) for number in chosen])[:FRAMES]
        code = encoder(frames)
        loss = functional.mse_loss(decoder(code + 0.1 * torch.randn(code.shape, generator=random)), frames)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - (step + 1) / steps)
    log.info("mel decoder fitted to the training mels: error %.4f after %d steps", loss.item(), steps)
    return loss.item()
