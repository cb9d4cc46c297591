"""How often the utterances of each corpus of a mix are drawn."""

from collections.abc import Mapping

from chatterbox_es.config import DataConfig
from chatterbox_es.corpus.sources import corpus_sources


def draw_rates(data: DataConfig, sizes: Mapping[str, int]) -> dict[str, float]:
    """For each corpus how often one of its utterances is drawn in an epoch, on average; `sizes` counts their utterances.

    With `data.temperature` T = 1 it is the corpus's weight: 1 draws every utterance once, 2 twice, 0.5 every second
    epoch. With another T a corpus of n utterances has a share of the draws that goes with weight * n^(1/T), as in
    multilingual training (Arivazhagan et al. 2019), so that with T = 5 small corpora are heard nearly as much as large
    ones; the number of draws in an epoch stays that of T = 1. A corpus without utterances has no rate.
    """
    weights = {name: source.weight for name, source in corpus_sources(data).items() if sizes.get(name)}
    total = sum(sizes[name] for name in weights)
    raw = {name: weight * (sizes[name] / total) ** (1 / data.temperature - 1) for name, weight in weights.items()}
    draws, wanted = (sum(rates[name] * sizes[name] for name in weights) for rates in (raw, weights))
    return {name: rate * wanted / draws for name, rate in raw.items()}
