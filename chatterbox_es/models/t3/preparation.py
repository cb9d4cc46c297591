"""Speech tokens, text ids and speaker embeddings of a prepared corpus, made by Chatterbox's own encoders.

Made stretch by stretch of some hundred utterances: what is done stays done when this is ended in between, and the same
bytes come out. Recordings are decoded by threads while the codec, on the GPU if there is one, takes those before.
"""

import collections
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypedDict

import numpy as np
from omegaconf import OmegaConf

from chatterbox_es.audio.waveform import AudioError, Recording
from chatterbox_es.config import ChatterboxConfig, ChatterboxRun, DataConfig
from chatterbox_es.dataset.feature_set import CARD, FeatureSet
from chatterbox_es.dataset.preparation.stages import front_end, read_speech
from chatterbox_es.dataset.preparation.work_progress import WorkProgress
from chatterbox_es.dataset.recordings import recordings
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.codec import CODE_RATE, RATE, Codec, codec_named
from chatterbox_es.models.t3.network import CODES, T3Size
from chatterbox_es.models.t3.token_set import TOKENS, TokenSet, content_of
from chatterbox_es.models.t3.tokens import TextTokens, tag_of
from chatterbox_es.models.t3.weights import (
    FETCHED,
    REPOSITORY,
    WeightsFolder,
    fetch,
    fingerprint,
    is_fetched,
    shapes_of,
    vocabulary_of,
)

STRETCH = 512  # utterances
SHORTEST = RATE // 10  # samples: less has no voice
DECODERS = 4  # threads
NO_SAMPLES = np.zeros(0, np.float32)
MADE_BY = ("preparation", "tokens", "token_set", "codec")  # files whose change may change the tokens


class Heard(NamedTuple):
    """An utterance and its recording, or why there is none."""

    number: int
    words: str
    dialect: str
    samples: np.ndarray  # (samples,) at 16 kHz; (0,) where there is a fault
    fault: tuple[str, str] = ("", "")  # reason, detail


class Stretch(TypedDict):
    """What is made of N utterances."""

    codes: list[np.ndarray]  # N of (S,) int16; (0,) where there is a fault
    ids: list[np.ndarray]  # N of (T,) int16
    speakers: np.ndarray  # (N, 256) float32
    faults: dict[int, tuple[str, str]]  # by the utterance's number: reason, detail
    unknown: dict[int, tuple[str, ...]]  # likewise: characters that the vocabulary lacks


def weights_folder(model: ChatterboxConfig) -> WeightsFolder:
    """The folder that ``model.weights`` names, fetched at first use with ``model.fetch=true``; a fetch that broke off goes on.

    Raises:
        UserError: it is not there, or lacks a part.
    """
    if OmegaConf.is_missing(model, "weights"):
        raise UserError(f"model=chatterbox needs the folder of Resemble's weights: model.weights=DIR. Fetch them: hf download "
                        f"{REPOSITORY} {' '.join(FETCHED)} --local-dir DIR (or model.fetch=true)")
    folder = Path(model.weights).expanduser()
    return fetch(folder, model.repository) if model.fetch and not is_fetched(folder) else WeightsFolder.open(folder)


def prepare_tokens(features: FeatureSet, config: ChatterboxRun) -> TokenSet:
    """The tokens of a prepared set: opened when they are there, made when they are not.

    Raises:
        UserError: the weights or packages that make them are missing, or too many utterances have none.
    """
    weights = weights_folder(config.model)
    vocabulary, tags = vocabulary_of(weights, sorted({config.data.dialect, *features.names("dialect")})
                                     if config.model.dialect_tags else [])
    key = key_of(features, config, weights, vocabulary)
    target = Storage(features.folder / f"tokens-{key[:12]}")
    if target.exists(CARD):
        print(f"speech tokens {target.url}: reused")
        return TokenSet(features, target.path(""))
    target.make_folder("work")
    with target.locked(f"another process makes {target.url}: waiting for it"):
        if not target.exists(CARD):
            Encoding(features, config, weights, vocabulary, tags, target).run()
    tokens = TokenSet(features, target.path(""))
    card = tokens.token_card
    left_out = sum(card["left_out"].values())
    print(f"speech tokens {target.url}: {len(tokens.train)} utterances to train on, {len(tokens.validation)} held out, "
          f"{card['codes'] / CODE_RATE / 3600:.2f} h; {left_out} without tokens, {card['unknown']} characters "
          "that the vocabulary lacks" + (f" (listed in {target.url}/lint.jsonl)" if left_out or card["unknown"] else ""))
    return tokens


def key_of(features: FeatureSet, config: ChatterboxRun, weights: WeightsFolder, vocabulary: dict) -> str:
    """SHA-256 of all that the tokens depend on."""
    data = config.data
    parts = [features.card["content"], config.model.codec, data.trim_silence, data.loudness, config.model.dialect_tags,
             *(fingerprint(file) if file else "" for file in (weights.codec, weights.speaker_encoder))]
    digest = hashlib.sha256(json.dumps([parts, vocabulary], sort_keys=True).encode())
    for name in MADE_BY:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


class Encoding:
    """The making of one set of tokens."""

    def __init__(self, features: FeatureSet, config: ChatterboxRun, weights: WeightsFolder, vocabulary: dict,
                 tags: dict[str, str], target: Storage):
        self.features, self.config, self.weights, self.target = features, config, weights, target
        self.vocabulary, self.tags = vocabulary, tags
        target.write("vocabulary.json", json.dumps(vocabulary, ensure_ascii=False).encode())
        self._texts: dict[str, TextTokens] = {}
        self.longest = shapes_of(weights.t3)["text_pos_emb.emb.weight"][0]

    def run(self) -> None:
        """
        Raises:
            UserError: more utterances than ``data.max_fault_share`` have no tokens.
        """
        count = len(self.features)
        starts = range(0, count, STRETCH)
        waiting = [start for start in starts if self._read(start) is None]
        if waiting:
            self._make(waiting, count)
        self._assemble([read_stretch(self.target.read(self._name(start))) for start in starts])
        self.target.remove("work")

    def _name(self, start: int) -> str:
        return f"work/{start:09d}.tokens"

    def _read(self, start: int) -> Stretch | None:
        """A stretch that is done; nothing where it is not, or where its file is damaged."""
        try:
            return read_stretch(self.target.read(self._name(start)))
        except (FileNotFoundError, EOFError, LookupError, MemoryError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile):
            return None

    def _make(self, waiting: list[int], count: int) -> None:
        device = "cuda" if self.config.hw.accelerator == "cuda" else "cpu"
        codec = codec_named(self.config.model.codec, self.weights, device)
        wanted = {number for start in waiting for number in range(start, min(start + STRETCH, count))}
        with WorkProgress(count, count - len(wanted), CODE_RATE) as progress:
            heard = self._heard(wanted)
            for start in waiting:
                stretch = [next(heard) for _ in range(start, min(start + STRETCH, count))]
                made = self._encode(stretch, codec)
                self.target.write(self._name(start), functools.partial(write_stretch, made=made))
                progress.add(len(stretch), sum(len(codes) for codes in made["codes"]))

    def _heard(self, wanted: set[int]) -> Iterator[Heard]:
        """The wanted utterances in their order, decoded ahead."""
        with ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder") as pool:
            ahead: collections.deque[Future[Heard]] = collections.deque()
            for number, said, audio in recordings(self.features, self.config.data):
                if number in wanted:
                    ahead.append(pool.submit(listen, number, said, audio, self.config.data))
                if len(ahead) > STRETCH:  # as many as are encoded meanwhile
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _encode(self, stretch: list[Heard], codec: Codec) -> Stretch:
        count = len(stretch)
        made: Stretch = {
            "codes": [np.zeros(0, np.int16)] * count, "ids": [np.zeros(0, np.int16)] * count,
            "speakers": np.zeros((count, T3Size.speaker), np.float32), "faults": {}, "unknown": {}}
        for place, heard in enumerate(stretch):
            fault = heard.fault
            if not fault[0]:
                read = self._reader(heard.dialect).encode(heard.words)
                made["ids"][place] = np.array(read.ids, np.int16)
                if read.unknown:
                    made["unknown"][heard.number] = read.unknown
                if len(read.ids) > self.longest:
                    fault = ("too-long-text", f"{len(read.ids)} text ids, and T3 has {self.longest} places")
            if fault[0]:
                made["faults"][heard.number] = fault
        good = [place for place, heard in enumerate(stretch) if heard.number not in made["faults"]]
        good.sort(key=lambda place: len(stretch[place].samples))  # of like length side by side: little padding
        for first in range(0, len(good), self.config.model.codec_batch):
            some = good[first:first + self.config.model.codec_batch]
            samples = [stretch[place].samples for place in some]
            for place, codes, speaker in zip(some, codec.tokenizer(samples), codec.speakers(samples), strict=True):
                if not len(codes) or codes.min() < 0 or codes.max() >= CODES:
                    made["faults"][stretch[place].number] = ("no-tokens", f"the codec gives {len(codes)} tokens, or some that "
                                                             "are none")
                    continue
                made["codes"][place], made["speakers"][place] = codes.astype(np.int16), speaker
        return made

    def _reader(self, dialect: str) -> TextTokens:
        if dialect not in self._texts:
            self._texts[dialect] = TextTokens(self.vocabulary, front_end(dialect, self.config.data.lexicon),
                                              tag_of(dialect, self.tags, self.vocabulary))
        return self._texts[dialect]

    def _assemble(self, stretches: list[Stretch]) -> None:
        codes = [codes for stretch in stretches for codes in stretch["codes"]]
        ids = [ids for stretch in stretches for ids in stretch["ids"]]
        index = np.zeros(len(codes), TOKENS)
        index["codes"], index["ids"] = [len(row) for row in codes], [len(row) for row in ids]
        for start, length in (("code", "codes"), ("id", "ids")):
            index[start] = np.cumsum(index[length], dtype=np.int64) - index[length]
        arrays = {"codes": np.concatenate(codes), "text": np.concatenate(ids), "index": index,
                  "speakers": np.concatenate([stretch["speakers"] for stretch in stretches])}
        faults = {number: fault for stretch in stretches for number, fault in stretch["faults"].items()}
        unknown = {number: found for stretch in stretches for number, found in stretch["unknown"].items()}
        lines = [{"id": self.features.utterance(number)["id"], "reason": reason, "detail": detail}
                 for number, (reason, detail) in sorted(faults.items())]
        lines += [{"id": self.features.utterance(number)["id"], "reason": "unknown-characters",
                   "detail": f"the vocabulary has no {' '.join(map(repr, found))}: T3 reads [UNK] there; the utterance is used"}
                  for number, found in sorted(unknown.items())]
        self.target.write("lint.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
        if len(faults) > self.config.data.max_fault_share * len(codes):
            raise UserError(f"{len(faults)} of {len(codes)} utterances have no speech tokens, more than data.max_fault_share="
                            f"{self.config.data.max_fault_share:g}; the first: {lines[0]['id']}: {lines[0]['detail']}; all are "
                            f"in {self.target.url}/lint.jsonl")
        for name, array in arrays.items():
            self.target.write(f"{name}.npy", functools.partial(np.save, arr=array))
        card = {"codec": self.config.model.codec, "weights": str(self.weights.folder.resolve()), "tags": self.tags,
                "codes": int(index["codes"].sum()), "unknown": sum(map(len, unknown.values())),
                "left_out": dict(collections.Counter(reason for reason, _ in faults.values())),
                "content": content_of(self.features.card["content"], arrays, self.vocabulary)}
        self.target.write(CARD, json.dumps(card, ensure_ascii=False, indent=1).encode())


def write_stretch(file: BinaryIO, made: Stretch) -> None:
    """What `Encoding` makes of a stretch, as arrays and JSON, neither of which can hold code."""
    facts = {"lengths": {"codes": [len(row) for row in made["codes"]], "ids": [len(row) for row in made["ids"]]},
             "faults": list(made["faults"].items()), "unknown": list(made["unknown"].items())}
    np.savez(file, codes=np.concatenate(made["codes"]), ids=np.concatenate(made["ids"]), speakers=made["speakers"],
             facts=np.frombuffer(json.dumps(facts).encode(), np.uint8))


def read_stretch(content: bytes) -> Stretch:
    """
    Raises:
        ValueError, LookupError, TypeError, …: whatever bytes that are none lead to.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        facts = json.loads(stored["facts"].tobytes())
        codes, ids = (np.split(stored[name], np.cumsum(facts["lengths"][name])[:-1]) for name in ("codes", "ids"))
        return {"codes": codes, "ids": ids, "speakers": stored["speakers"],
                "faults": {number: (reason, detail) for number, (reason, detail) in facts["faults"]},
                "unknown": {number: tuple(found) for number, found in facts["unknown"]}}


def listen(number: int, said: dict, audio: Path | Recording, data: DataConfig) -> Heard:
    """A recording as the encoders hear it: mono at 16 kHz, without silent ends, as loud as the others."""
    words, dialect = said["words"], said.get("dialect") or data.dialect
    try:
        _, (samples, *_) = read_speech(audio, RATE, data)
    except AudioError as error:
        return Heard(number, words, dialect, NO_SAMPLES, (error.reason, error.detail))
    if len(samples) < SHORTEST:
        return Heard(number, words, dialect, NO_SAMPLES, ("zero-length", f"{audio} holds less than 0.1 s of sound"))
    return Heard(number, words, dialect, samples)
