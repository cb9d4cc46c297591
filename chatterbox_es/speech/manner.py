"""How a text is said: pace, melody, loudness, and chance."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from chatterbox_es.errors import UserError
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.acoustic.prosody import TEMPERATURE, shared_noise
from chatterbox_es.models.flow.flow_decoder import TAU, flow_noise

BOUNDS = {"speed": (0.1, 10.0, "1 is the voice's own"), "pitch": (-24.0, 24.0, "semitones, 0 is the voice's own"),
          "range": (0.0, 4.0, "0 is a monotone, 1 the voice's own"), "energy": (-30.0, 30.0, "dB, 0 is the voice's own"),
          "temperature": (0.0, 2.0, "0 says the likeliest"), "seed": (0, 2**63 - 1, "a whole number"),
          "tau": (0.0, 2.0, "0 is the mean of all ways to say it"), "steps": (1, 1000, "a whole number")}


@dataclasses.dataclass(frozen=True)
class Manner:
    """How a text is said. The first four may be arrays, a value for each token of a `Reading`, for `Voice.say`."""

    speed: float | np.ndarray = 1.0  # 2 takes half the time
    pitch: float | np.ndarray = 0.0  # semitones higher
    range: float | np.ndarray = 1.0  # how lively: factor on how far pitch goes from the sentence's mean
    energy: float | np.ndarray = 0.0  # dB louder, by the speaker's effort: the voice sounds otherwise, too
    temperature: float | None = None  # how much chance there is; none: `TEMPERATURE`
    seed: int = 0  # another one says the same text otherwise
    tau: float | None = None  # how much noise a flow begins with; none: `TAU`
    steps: int | None = None  # of the flow; none: `STEPS`

    def check(self) -> None:
        """
        Raises:
            UserError: a value is out of its range.
        """
        for name, (least, most, meaning) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (np.all(np.greater_equal(value, least)) and np.all(np.less_equal(value, most))):
                said = "…" if isinstance(value, np.ndarray) else f"{value:g}"
                raise UserError(f"{name}={said}: must be from {least:g} to {most:g}; {meaning}")

    def chosen(self, *but: str) -> list[str]:
        """What is said in another way than by default, names in ``but`` left out."""
        return [field.name for field in dataclasses.fields(self) if field.name not in but
                and np.any(getattr(self, field.name) != field.default)]

    def check_for(self, checkpoint: Checkpoint) -> None:
        """
        Raises:
            UserError: something is chosen that a voice has no part for.
        """
        chosen = self.chosen("speed")
        if wrong := [name for name in chosen if name in ("tau", "steps") and not checkpoint.has_flow]:
            raise UserError(f"{wrong[0]}={getattr(self, wrong[0])}: this voice has no flow that has learnt anything; "
                            "one that has is trained with model=flow phase=4_3")
        has_chance = checkpoint.has_prosody or checkpoint.has_flow
        if wrong := [name for name in chosen if name not in ("tau", "steps")
                     and not (has_chance if name == "seed" else checkpoint.has_prosody)]:
            raise UserError(f"{wrong[0]}={getattr(self, wrong[0])}: this voice knows nothing of pitch and energy, and says a "
                            "text always alike; a voice that does is trained with model.prosody=true")

    def of_tokens(self, name: str, tokens: int) -> np.ndarray:
        """A value for each token, (tokens,) float32.

        Raises:
            ValueError: there are others than so many.
        """
        return np.broadcast_to(np.asarray(getattr(self, name), np.float32), (tokens,)).copy()

    def controls(self, tokens: int, part: int = 0) -> Mapping[str, np.ndarray]:
        """The values of `acoustic.prosody.Controls`; ``part`` is the sentence's number in its text, so that not all of a text's
        sentences have one melody."""
        temperature = TEMPERATURE if self.temperature is None else self.temperature
        return {"temperature": np.asarray(temperature, np.float32), "noise": shared_noise(tokens, (self.seed, part)),
                **{name: self.of_tokens(name, tokens) for name in ("pitch", "range", "energy")}}

    @property
    def noisiness(self) -> float:
        """``tau``, or what it is where nothing is said; at 0 a flow has nothing to do."""
        return TAU if self.tau is None else self.tau

    def draw(self, bins: int, part: int = 0) -> Mapping[str, np.ndarray]:
        """The values of `flow.flow_decoder.Draw` that are arrays."""
        return {"tau": np.asarray(self.noisiness, np.float32), "flow_noise": flow_noise(bins, (self.seed, part, 1))}
