"""Which frame belongs to which token: monotonic alignment search, and durations back to frames.

Source: Kim et al. 2020, "Glow-TTS: A Generative Flow for Text-to-Speech via Monotonic Alignment Search".
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from monotonic_alignment_search.core import maximum_path_c
from torch import Tensor

from chatterbox_es.models.acoustic.packing import Packing

CELLS = 1_000_000  # of B × N × T, from which on it is searched in several threads


def likeness(token_mels: Tensor, mels: Tensor, text: Packing, speech: Packing) -> Tensor:
    """How well each token's mel fits each recorded frame: (B, N, T) float32 on the CPU, for `best_path`.

    -|t - m|² without |m|²: the same for every token, it does not change which path is best.

    Args:
        token_mels: (tokens, bins), what the decoder says of each token.
        mels: (frames, bins), the recorded frames.
        text: of the tokens, N in the longest sentence.
        speech: of the frames, T in the longest recording.
    """
    tokens, frames = text.pad(token_mels.float()), speech.pad(mels.float())
    found = 2 * tokens @ frames.transpose(1, 2) - tokens.square().sum(2, keepdim=True)
    if found.device.type == "cpu":
        return found
    return torch.empty(found.shape, dtype=found.dtype, pin_memory=True).copy_(found)  # the host waits for the encoder here


def best_path(likeness: Tensor, text: Packing, speech: Packing) -> Tensor:
    """Frames of each token on the monotonic path that fits best: (tokens,) int64 on the CPU, packed.

    Each is 1 or more, and those of a sentence add up to its recording's frames. ``likeness``, that of `likeness`, is
    overwritten.

    Raises:
        ValueError: a recording has fewer frames than tokens, so that no monotonic path exists.
    """
    counts, ends = (np.array(packing.lengths, np.int32) for packing in (text, speech))
    if (ends < counts).any():
        raise ValueError(f"fewer frames than tokens in batch rows {np.flatnonzero(ends < counts).tolist()}")
    values = likeness.numpy()

    def search(rows: slice) -> list[np.ndarray]:
        path = np.zeros(values[rows].shape, np.int32)
        maximum_path_c(path, values[rows], counts[rows], ends[rows])
        return [durations[:count] for durations, count in zip(path.sum(2, dtype=np.int64), counts[rows], strict=True)]

    threads = min(8, torch.get_num_threads()) if values.size >= CELLS else 1
    share = -(-len(values) // threads)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(search, [slice(start, start + share) for start in range(0, len(values), share)]))
    return torch.from_numpy(np.concatenate([durations for part in parts for durations in part]))


def tokens_of_frames(durations: Tensor, frames: int | None = None) -> Tensor:
    """(frames,) int64, the row of ``durations`` (tokens,) that each frame belongs to.

    Where ``frames``, their sum, is known, a GPU need not be waited for.
    """
    return torch.repeat_interleave(torch.arange(durations.shape[0], device=durations.device), durations, output_size=frames)


def frame_positions(durations: Tensor, frames: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Where every frame of a batch stands, utterance after utterance, without padding.

    Args:
        durations: (tokens,) int64, frames of each token of the batch, padding left out.
        frames: their sum, where it is known.

    Returns:
        token: (frames,) int64, the row of ``durations`` a frame belongs to;
        since: (frames,) int64, frames since that token began;
        left: (frames,) int64, frames until it ends.
    """
    token = tokens_of_frames(durations, frames)
    start = torch.cumsum(durations, 0) - durations
    since = torch.arange(token.shape[0], device=durations.device) - start[token]
    return token, since, durations[token] - 1 - since


def whole_frames(durations: Tensor, speed: float | Tensor = 1.0) -> Tensor:
    """Predicted durations as whole frames whose running sum stays within half a frame of the prediction's.

    Args:
        durations: (tokens,) float, frames; ``speed`` divides them.

    Returns:
        (tokens,) int64, each at least 1.
    """
    ends = torch.round(torch.cumsum(durations.double() / speed, 0)).long()
    return torch.diff(ends, prepend=ends.new_zeros(1)).clamp(min=1)
