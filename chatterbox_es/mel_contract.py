"""Every number that says what a frame is: the configuration sets it, prepared data and checkpoints store it and are compared by
it."""

import dataclasses


@dataclasses.dataclass(unsafe_hash=True)  # not frozen, only because Hydra writes overrides into it; nobody else does
class MelContract:
    """What a frame means. The defaults are S3Gen's (Resemble AI, Chatterbox), so that its HiFT vocoder fits."""

    sample_rate: int = 24_000  # Hz
    n_fft: int = 1920  # samples
    hop: int = 480  # samples: 50 frames a second
    window: int = 1920  # samples, Hann
    bins: int = 80  # Slaney mel scale, Slaney area normalisation
    f_min: float = 0.0  # Hz
    f_max: float = 8000.0  # Hz
    floor: float = 1e-5  # of the magnitude, before the natural logarithm

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
