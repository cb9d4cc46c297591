"""What tells recordings from what the vocoder makes: by periods (HiFi-GAN, Kong et al. 2020) and by spectrograms (UnivNet,
Jang et al. 2021). Both are small, for a CPU trains them too."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from chatterbox_es.models.adversarial import Judgement, judge
from chatterbox_es.models.vocoder.loss import magnitudes

SLOPE = 0.1  # of the rectifiers below 0


class PeriodDiscriminator(nn.Module):
    """Sees every ``period``-th sample of a waveform side by side."""

    def __init__(self, period: int, width: int):
        super().__init__()
        self.period = period
        widths = [1, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.layers = nn.ModuleList(weight_norm(nn.Conv2d(narrow, wide, (5, 1), (3 if place < 4 else 1, 1), (2, 0)))
                                    for place, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False)))
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Tensor) -> Judgement:
        """Of (B, samples)."""
        padded = functional.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        return judge(self.layers, self.score, padded.unflatten(2, (-1, self.period)), SLOPE)


class SpectrogramDiscriminator(nn.Module):
    """Sees the logarithm of a spectrogram's magnitudes."""

    window: Tensor

    def __init__(self, n_fft: int, width: int):
        super().__init__()
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        shapes = [(1, (3, 9), (1, 2)), (width, (3, 9), (1, 2)), (width, (3, 9), (2, 2)), (width, (3, 9), (1, 2)),
                  (width, (3, 3), (1, 1))]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(narrow, width, kernel, stride, (kernel[0] // 2, kernel[1] // 2)))
            for narrow, kernel, stride in shapes)
        self.score = weight_norm(nn.Conv2d(width, 1, (3, 3), padding=1))

    def forward(self, samples: Tensor) -> Judgement:
        """Of (B, samples)."""
        found = magnitudes(samples, self.window, len(self.window) // 4).clamp(min=1e-5).log()
        return judge(self.layers, self.score, found[:, None], SLOPE)


class Discriminators(nn.Module):
    """All of them."""

    def __init__(self, periods: Sequence[int], period_width: int, resolutions: Sequence[int], resolution_width: int):
        """``resolutions`` are lengths of transforms in samples; the widths are channels of the first layers."""
        super().__init__()
        self.judges = nn.ModuleList([*(PeriodDiscriminator(period, period_width) for period in periods),
                                     *(SpectrogramDiscriminator(n_fft, resolution_width) for n_fft in resolutions)])
        for weight in self.parameters():  # on a CPU, in bf16, their convolutions take four fifths of the time so
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, samples: Tensor) -> list[Judgement]:
        return [judge(samples) for judge in self.judges]
