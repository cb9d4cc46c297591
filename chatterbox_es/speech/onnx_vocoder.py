"""A trained vocoder as a graph behind that of a voice: log-mels in, samples out.

Both Fourier transforms are products with a matrix of cosines and sines, whose windows are in it; frames are cut and laid over
each other by reshaping, which costs little. ONNX has transforms only as operators of complex numbers, which few runtimes make
fast: in Vocos's own export the inverse one takes 35 times as long as the network.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from chatterbox_es.models.vocoder.network import Vocoder
from chatterbox_es.models.vocoder.source import Transform

MELS, SAMPLES = "mels", "samples"  # what goes in and out
LONGEST = 100_000  # mel frames: half an hour


class MatrixTransform(Transform):
    """`Transform` as products of matrices."""

    analysis: Tensor  # (n_fft, lines * 2), real and imaginary parts in turn
    synthesis: Tensor  # (2 * lines, n_fft), the real parts, then the imaginary ones

    def __init__(self, n_fft: int, hop: int):
        super().__init__(n_fft, hop)
        lines = n_fft // 2 + 1
        turn = 2 * math.pi / n_fft * (torch.arange(n_fft)[:, None] * torch.arange(lines) % n_fft).double()
        cosine, sine = turn.cos(), -turn.sin()
        sine[:, [0, -1]] = 0  # exactly: the first line and the last are real
        window = self.window.double()[:, None]
        share = torch.full((lines,), 2 / n_fft, dtype=torch.float64)  # every other line stands for its mirror image, too
        share[[0, -1]] = 1 / n_fft
        self.register_buffer("analysis", (torch.stack([cosine, sine], 2).flatten(1) * window / self.unit).float())
        back = torch.cat([cosine * share, sine * share], 1) * window * self.unit
        self.register_buffer("synthesis", back.T.float().contiguous())

    def analyse(self, samples: Tensor) -> Tensor:
        parts = self.n_fft // self.hop
        blocks = samples.unflatten(1, (-1, self.hop))
        frames = blocks.shape[1] - parts + 1
        windows = torch.cat([blocks[:, part:part + frames] for part in range(parts)], 2)
        return (windows @ self.analysis).unflatten(2, (-1, 2))

    def synthesise(self, real: Tensor, imaginary: Tensor) -> Tensor:
        energy = self.overlap_add(self.window.square().expand(1, real.shape[1], -1))
        return self.overlap_add(torch.cat([real, imaginary], 2) @ self.synthesis) / energy


class VocoderGraph(nn.Module):
    """`Vocoder.forward` of one sentence, as torch exports it."""

    def __init__(self, vocoder: Vocoder):
        super().__init__()
        self.vocoder = copy.deepcopy(vocoder)
        self.vocoder.transform = MatrixTransform(vocoder.transform.n_fft, vocoder.transform.hop)

    def forward(self, mels: Tensor) -> Tensor:
        """(frames, bins) natural-log mels to (frames * hop,) samples."""
        return self.vocoder(mels[None])[0]


def with_vocoder(voice: Any, vocoder: Any) -> Any:
    """The graph of a voice (an ``onnx.ModelProto``) with that of a vocoder behind its ``log_mels``, which stay an output."""
    import onnx

    named = onnx.compose.add_prefix(vocoder, "vocoder.", rename_inputs=False, rename_outputs=False)
    outputs = [*(value.name for value in voice.graph.output), SAMPLES]
    return onnx.compose.merge_models(voice, named, io_map=[(voice.graph.output[0].name, MELS)], outputs=outputs)
