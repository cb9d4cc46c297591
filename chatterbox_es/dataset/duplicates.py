"""Recordings and texts that a corpus holds more than once."""

import numpy as np

NEAR = 20
"""Bits of 128 in which two fingerprints of one recording may differ; of two recordings some 64 do."""

_BANDS, _BAND_BITS = 10, 12
_FOLLOWING = 16  # neighbours in a band that each recording is compared with
_LENGTH = 0.04  # seconds and share of the length by which two copies may differ
_SHORT = 0.3  # s, below which a fingerprint says little


def first_of_same_audio(quality: np.ndarray) -> np.ndarray:
    """(utterances,) int64: the first utterance with the same recording, which is its own number where it is the first.

    Same are equal samples, and recordings of like length whose fingerprints differ in at most `NEAR` bits: the same file
    coded anew or at another gain. Candidates share 12 bits of the fingerprint (locality-sensitive hashing: Indyk and
    Motwani 1998), so that half a million recordings take seconds. ``quality`` are `audio.quality.QUALITY` records.
    """
    parents = first_of_same(quality["audio"])
    firsts = np.flatnonzero(parents == np.arange(len(parents)))  # of equal samples one is compared with the others
    quality = quality[firsts]
    fingerprints = np.ascontiguousarray(quality["fingerprint"])
    speech = (quality["seconds"] - quality["head"] - quality["tail"]).astype(np.float64)
    shifts = np.arange(_BANDS // 2, dtype=np.uint64) * np.uint64(_BAND_BITS)
    bands = (fingerprints[:, :, None] >> shifts & np.uint64(2**_BAND_BITS - 1)).reshape(len(quality), _BANDS).astype(np.int16)
    pairs = []
    lengths = np.argsort(speech, kind="stable")
    for band in np.ascontiguousarray(bands.T):
        order = lengths[np.argsort(band[lengths], kind="stable")]
        key, length = band[order], speech[order]
        for step in range(1, min(_FOLLOWING, len(order) - 1) + 1):
            near = (key[:-step] == key[step:]) & (length[step:] - length[:-step] <= _LENGTH * (1 + length[:-step]))
            places = np.flatnonzero(near & (length[:-step] > _SHORT))
            one, other = order[places], order[places + step]
            differing = np.bitwise_count(fingerprints[one] ^ fingerprints[other]).sum(1)
            pairs.append(np.stack([one[differing <= NEAR], other[differing <= NEAR]], axis=1))
    return _joined(parents, firsts[np.concatenate(pairs)] if pairs else np.empty((0, 2), np.int64))


def first_of_same(values: np.ndarray) -> np.ndarray:
    """(utterances,) int64: the first utterance with the same value, its own number where it is the first."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def groups(first: np.ndarray) -> list[list[int]]:
    """The numbers of utterances that are the same, each group in order, the largest first."""
    counts = np.bincount(first, minlength=len(first))
    repeated = np.flatnonzero(counts[first] > 1)
    found: dict[int, list[int]] = {}
    for number in repeated.tolist():
        found.setdefault(int(first[number]), []).append(number)
    return sorted(found.values(), key=lambda group: (-len(group), group[0]))


def _joined(parents: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The first of each set of utterances that pairs connect, directly or through others."""
    parents = parents.copy()

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for one, other in np.unique(np.sort(pairs, axis=1), axis=0).tolist():
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    while (parents[parents] != parents).any():
        parents = parents[parents]
    return parents
