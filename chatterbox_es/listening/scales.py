"""The scales on which listeners answer, in Spanish.

MOS is absolute category rating (ACR) and CMOS comparison category rating (CCR) of ITU-T P.800, annexes B and E; in CMOS the
second sound is judged against the first. MUSHRA is the continuous quality scale of ITU-R BS.1534, 4.1. AB is a preference
with the choice of hearing no difference.
"""

from dataclasses import dataclass
from typing import Any

METHODS = ("mos", "ab", "cmos", "mushra")


@dataclass(frozen=True)
class Scale:
    """What is asked and what may be answered; ``options`` from the best to the worst, none on a continuous scale."""

    name: str  # of the mean, in results
    question: str
    options: tuple[tuple[int, str], ...]  # value, label
    low: float
    high: float
    step: float  # between neighbouring values
    words: tuple[str, ...] = ()  # along a continuous scale, from the top in equal parts


SCALES = {
    "mos": Scale("MOS", "¿Cómo valora la naturalidad de la voz?",
                 ((5, "Excelente"), (4, "Buena"), (3, "Regular"), (2, "Mediocre"), (1, "Mala")), 1, 5, 1),
    "cmos": Scale("CMOS", "¿Cómo es la naturalidad del sonido B comparada con la del sonido A?",
                  ((3, "B es mucho mejor"), (2, "B es mejor"), (1, "B es ligeramente mejor"), (0, "Aproximadamente igual"),
                   (-1, "B es ligeramente peor"), (-2, "B es peor"), (-3, "B es mucho peor")), -3, 3, 1),
    "ab": Scale("preferencia", "¿Qué sonido le parece más natural?",
                ((-1, "El sonido A"), (1, "El sonido B"), (0, "No noto diferencia")), 0, 1, 0.5),
    "mushra": Scale("MUSHRA", "¿Qué calidad tiene cada sonido comparado con la referencia?", (), 0, 100, 1,
                    ("Excelente", "Buena", "Aceptable", "Mediocre", "Mala")),
}


def fault_of(method: str, value: Any, stimuli: tuple[str, ...]) -> str:
    """Why a value is no answer to a question on ``stimuli``, or ""."""
    if method == "mushra":
        if not isinstance(value, dict) or set(value) != set(stimuli):
            return "one score for each sound is wanted"
        return "" if all(_is_number(score) and 0 <= score <= 100 for score in value.values()) else "a score is from 0 to 100"
    allowed = [option for option, _ in SCALES[method].options]
    if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
        return ""
    return f"the value must be one of {', '.join(map(str, sorted(allowed)))}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
