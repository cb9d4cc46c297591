"""Which frame belongs to which token: monotonic alignment search, and durations back to frames.

Source: Kim et al. 2020, "Glow-TTS: A Generative Flow for Text-to-Speech via Monotonic Alignment Search".
"""

import torch
from monotonic_alignment_search import maximum_path
from torch import Tensor


def align(token_mels: Tensor, mels: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
    """Frames of each token on the monotonic path with the least squared error.

    Args:
        token_mels: (B, N, bins), what the decoder says of each token, where B is the batch and N its longest text.
        mels: (B, T, bins), the recorded frames, T those of the longest recording.
        token_mask: (B, N) bool, true where there is a token.
        frame_mask: (B, T) bool, true where there is a frame.

    Returns:
        (B, N) int64 durations in frames: at least 1 for a token, 0 for padding; each row sums to its recording's
        frames.

    Raises:
        ValueError: a recording has fewer frames than tokens, so that no monotonic path exists.
    """
    short = frame_mask.sum(1) < token_mask.sum(1)
    if short.any():
        raise ValueError(f"fewer frames than tokens in batch rows {short.nonzero().flatten().tolist()}")
    token_mels, mels = token_mels.float(), mels.float()
    # -|t - m|² without |m|²: the same for every token, it does not change which path is best.
    likeness = 2 * token_mels @ mels.transpose(1, 2) - token_mels.square().sum(2, keepdim=True)
    mask = token_mask[:, :, None] & frame_mask[:, None, :]
    path = maximum_path(likeness * mask, mask.to(likeness.dtype))
    return path.sum(2).long()


def frame_positions(durations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where every frame of a batch stands, utterance after utterance, without padding.

    Args:
        durations: (tokens,) int64, frames of each token of the batch, padding left out.

    Returns:
        token: (frames,) int64, the row of ``durations`` a frame belongs to;
        since: (frames,) int64, frames since that token began;
        left: (frames,) int64, frames until it ends.
    """
    token = torch.repeat_interleave(torch.arange(len(durations), device=durations.device), durations)
    start = torch.cumsum(durations, 0) - durations
    since = torch.arange(len(token), device=durations.device) - start[token]
    return token, since, durations[token] - 1 - since


def whole_frames(durations: Tensor, speed: float = 1.0) -> Tensor:
    """Predicted durations as whole frames whose running sum stays within half a frame of the prediction's.

    Args:
        durations: (tokens,) float, frames; ``speed`` divides them.

    Returns:
        (tokens,) int64, each at least 1.
    """
    ends = torch.round(torch.cumsum(durations.double() / speed, 0)).long()
    return torch.diff(ends, prepend=ends.new_zeros(1)).clamp(min=1)
