"""A mel decoder that knows mels before any text encoder does: the decoder half of a small autoencoder."""

import logging

import torch
from torch import nn
from torch.nn import functional

from chatterbox_es.feature_set import FeatureSet
from chatterbox_es.model.fase4 import MelDecoder

log = logging.getLogger(__name__)
FRAMES = 2048  # a step


def fit_decoder(decoder: MelDecoder, features: FeatureSet, seed: int, steps: int = 400) -> float:
    """Fit ``decoder`` in place to the training mels through a code of its input width; the error it ends with.

    The code is kept near unit variance a dimension, which is how a text encoder's states begin.
    """
    width, bins = decoder[0].in_features, features.contract.bins
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
