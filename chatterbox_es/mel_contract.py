"""Every number that says what a frame is: the configuration sets it, prepared data and checkpoints store it and are compared by
it."""

import dataclasses
from typing import Any


def bounded(default: float, **bounds: float) -> Any:
    """A number with its range, which `config.checks` reads."""
    return dataclasses.field(default=default, metadata={"bounds": bounds})


@dataclasses.dataclass(unsafe_hash=True)  # not frozen, only because Hydra writes overrides into it; nobody else does
class MelContract:
    """What a frame means. The defaults are S3Gen's (Resemble AI, Chatterbox), so that its HiFT vocoder fits."""

    sample_rate: int = bounded(24_000, at_least=8000, at_most=192_000)  # Hz
    n_fft: int = bounded(1920, at_least=16, at_most=65_536)  # samples
    hop: int = bounded(480, at_least=1)  # samples: 50 frames a second
    window: int = bounded(1920, at_least=2)  # samples, Hann
    bins: int = bounded(80, at_least=9, at_most=1024)  # Slaney mel scale and area normalisation; sets are compared by 9 bands
    f_min: float = bounded(0.0, at_least=0)  # Hz
    f_max: float = bounded(8000.0, above=0)  # Hz
    floor: float = bounded(1e-5, above=0, at_most=1)  # of the magnitude, before the natural logarithm

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop

    @property
    def margin(self) -> int:
        """Samples of reflection before the first and after the last one (`center=False`, as S3Gen pads)."""
        return (self.n_fft - self.hop) // 2

    def differences(self, other: "MelContract") -> list[str]:
        """Each field in which the two differ, as ``name: mine / other's``."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{name}: {mine[name]} / {theirs[name]}" for name in mine if mine[name] != theirs[name]]
