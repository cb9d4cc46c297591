"""Files of weights as Resemble AI publishes them, read strictly and written so that its own loader takes them unchanged.

| file of the folder | what | needed for |
|---|---|---|
| `t3_mtl23ls_v2.safetensors`, `t3_mtl23ls_v3.safetensors`, `t3_cfg.safetensors` (English), `t3_*.safetensors` (others) | T3 \
| training, speaking |
| `grapheme_mtl_merged_expanded_v1.json`, `tokenizer.json` (English) | vocabulary | training, speaking |
| `ve.pt` or `ve.safetensors`; packs of one language have none, it is the base repository's | speaker encoder | preparing, \
speaking |
| `s3gen*.pt` or `s3gen*.safetensors` | speech tokeniser, S3Gen, vocoder | preparing, speaking |
| `conds.pt` | a voice to speak with | speaking without a reference recording |
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from chatterbox_es.audio.mel import mel_basis
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.t3.network import T3, T3Size
from chatterbox_es.models.t3.tokens import LANGUAGE, TAGS, known_tokens, tagged_vocabulary

MULTILINGUAL_T3, ENGLISH_T3 = "t3_mtl23ls_v2.safetensors", "t3_cfg.safetensors"
MULTILINGUAL_VOCABULARY, ENGLISH_VOCABULARY = "grapheme_mtl_merged_expanded_v1.json", "tokenizer.json"
PUBLISHED_ROWS = {2454: MULTILINGUAL_T3, 704: ENGLISH_T3}  # text rows that Resemble's loader knows
REPOSITORY = "ResembleAI/chatterbox"
FINE_TUNE = ["t3_*.safetensors", "*.json", "ve.*", "s3gen*", "conds.pt"]  # what another repository may call them
FETCHED = [MULTILINGUAL_T3, MULTILINGUAL_VOCABULARY, "ve.pt", "s3gen.pt", "conds.pt"]
# What the base repository gives where another one does not have it, and how it may be called there.
FROM_BASE = {MULTILINGUAL_VOCABULARY: (MULTILINGUAL_VOCABULARY, ENGLISH_VOCABULARY), "ve.pt": ("ve.pt", "ve.safetensors"),
             "s3gen.pt": ("s3gen*",), "conds.pt": ("conds.pt",)}  # fmt: skip
FETCHING = ".fetching"  # in a folder while it is fetched


@dataclass(frozen=True)
class WeightsFolder:
    """Where the parts are; None for what the folder does not have."""

    folder: Path
    t3: Path
    vocabulary: Path
    speaker_encoder: Path | None
    codec: Path | None
    voice: Path | None

    @classmethod
    def open(cls, folder: Path | str) -> "WeightsFolder":
        """
        Raises:
            UserError: T3 or the vocabulary is missing, or there are several T3s.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder} with Chatterbox's weights; fetch them: hf download {REPOSITORY} "
                            f"{' '.join(FETCHED)} --local-dir {folder}")
        named = [folder / name for name in (MULTILINGUAL_T3, ENGLISH_T3) if (folder / name).is_file()]
        found = sorted({*named, *folder.glob("t3_*.safetensors")})
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "no t3_*.safetensors"
            raise UserError(f"{folder} has {names}; exactly one T3 is needed. Fetch it: hf download {REPOSITORY} "
                            f"{MULTILINGUAL_T3} --local-dir {folder}; of several, move the others away")
        english = found[0].name == ENGLISH_T3
        vocabulary = folder / (ENGLISH_VOCABULARY if english else MULTILINGUAL_VOCABULARY)
        if not vocabulary.is_file():
            raise UserError(f"{folder} has no {vocabulary.name}, the vocabulary of {found[0].name}; fetch it: hf download "
                            f"{REPOSITORY} {vocabulary.name} --local-dir {folder}")
        return cls(folder, found[0], vocabulary, _first(folder, "ve.pt", "ve.safetensors"),
                   codec_file(folder),
                   _first(folder, "conds.pt"))


def is_fetched(folder: Path) -> bool:
    """Whether a folder is there and no fetch into it has broken off."""
    half = (folder / ".cache" / "huggingface").rglob("*.incomplete")  # the client's, for what it has not moved to its place
    return folder.is_dir() and any(folder.iterdir()) and not (folder / FETCHING).exists() and next(half, None) is None


def fetch(folder: Path | str, repository: str = REPOSITORY) -> WeightsFolder:
    """The weights from the Hugging Face hub, by its own client; about 3.2 GB, once. One that broke off is gone on with.

    Raises:
        UserError: the client is not installed, or the hub cannot be reached.
    """
    folder = Path(folder)
    _download(folder, repository, FETCHED if repository == REPOSITORY else FINE_TUNE)
    if lacking := _lacking(folder):
        _download(folder, REPOSITORY, lacking)
    weights = WeightsFolder.open(folder)
    # The client is content with whatever a folder holds where the hub cannot be reached.
    if lacking := [name for name in _lacking(folder) if name != "conds.pt"]:
        raise UserError(f"{repository} was fetched in part: {', '.join(lacking)} did not come into {folder}; the same command "
                        "goes on")
    (folder / FETCHING).unlink(missing_ok=True)
    return weights


def _lacking(folder: Path) -> list[str]:
    return [name for name, called in FROM_BASE.items() if _first(folder, *called) is None]


def _download(folder: Path, repository: str, names: list[str]) -> None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError("fetching weights needs huggingface_hub: pip install -e '.[chatterbox]'") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FETCHING).touch()
        snapshot_download(repository, allow_patterns=names, local_dir=folder)
    except Exception as error:  # of any kind: network, permission, a name, a full disk
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{repository} could not be fetched ({reason}); what has come stays in {folder}, and the same command "
                        f"goes on. Or put the files there by hand and leave model.fetch out: {', '.join(FETCHED)}") from error


def load_t3(file: Path | str) -> T3:
    """T3 with the weights of a file, of the size they have, in float32.

    Raises:
        UserError: the file cannot be read, or is not a T3; the message names the first weight that does not fit.
    """
    state = read_state(file)
    try:
        size = T3Size.of({name: weight.shape for name, weight in state.items()})
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{file} holds no T3: {error} is missing") from error
    with torch.device("meta"):
        model = T3(size)
    mine = model.state_dict()
    for name in [*mine, *state]:
        if name not in mine or name not in state:
            raise UserError(f"{file} is no T3 of Chatterbox: {name} is {'missing' if name in mine else 'not of it'}")
        if mine[name].shape != state[name].shape:
            raise UserError(f"{file} is no T3 of Chatterbox: {name} is {tuple(state[name].shape)}, wanted "
                            f"{tuple(mine[name].shape)}")
    model.load_state_dict({name: weight.float() for name, weight in state.items()}, assign=True)
    # What is computed and in no file: the rotary frequencies.
    model.tfmr.rotary_emb = type(model.tfmr.rotary_emb)(model.tfmr.config)
    return model


def read_state(file: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in their own types.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read as safetensors ({error}); fetch it again") from error


def read_part(file: Path) -> dict[str, Tensor]:
    """The tensors of a speaker encoder or codec, as .pt or safetensors.

    Raises:
        UserError: it cannot be read.
    """
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
        return dict(state.items())
    except Exception as error:  # whatever the bytes of a foreign file lead the unpickler to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file} cannot be read as weights ({reason}); fetch it again: hf download {REPOSITORY} {file.name} "
                        f"--local-dir {file.parent}") from error


def computed_buffers() -> dict[str, Tensor]:
    """What S3Gen computes for itself, bit for bit: newer files (`s3gen_v3`) leave it out, chatterbox-tts 0.1.7 asks for it."""
    heard = MelContract(sample_rate=16_000, n_fft=400, hop=160, window=400, bins=128)  # by the tokeniser of S3Tokenizer v2
    return {"tokenizer._mel_filters": mel_basis(heard), "tokenizer.window": torch.hann_window(heard.window)}


def vocabulary_of(weights: WeightsFolder, dialects: list[str]) -> tuple[dict, dict[str, str]]:
    """The vocabulary's content, with tags for dialects where they are wanted, and each dialect's tag.

    Raises:
        UserError: tags are wanted, and the vocabulary has no ``[es]`` that they could begin as.
    """
    content = json.loads(weights.vocabulary.read_text(encoding="utf-8"))
    tags = {dialect: TAGS[dialect] for dialect in dialects}
    if not tags:
        return content, {}
    known = known_tokens(content)
    if f"[{LANGUAGE}]" not in known:
        raise UserError(f"model.dialect_tags=true: {weights.vocabulary} has no [{LANGUAGE}] that a dialect could begin as; "
                        "tags need the multilingual weights")
    rows = shapes_of(weights.t3)["text_emb.weight"][0]
    return tagged_vocabulary(content, [tag for tag in tags.values() if f"[{tag}]" not in known], rows)[0], tags


@torch.no_grad()
def extend_text(model: T3, ids: dict[str, int], like: int) -> None:
    """Rows of the text embedding and its head for new ids, beginning as that of ``like``; the tables grow where they must."""
    rows = max([model.size.text_rows, *(number + 1 for number in ids.values())])
    more = rows - model.size.text_rows
    for part in (model.text_emb, model.text_head):
        weight = torch.cat([part.weight, part.weight[like].expand(more, -1)])
        for number in ids.values():
            weight[number] = part.weight[like]
        part.weight = nn.Parameter(weight, requires_grad=part.weight.requires_grad)
    model.text_emb.num_embeddings = model.text_head.out_features = rows
    model.size = T3Size(**model.sizes() | {"text_rows": rows})


def export(state: dict[str, Tensor], vocabulary: Path | dict, folder: Path | str, beside: WeightsFolder | None = None,
           dtype: torch.dtype = torch.float32, trim: bool = False) -> Path:
    """A folder that Resemble's ``from_local(folder, device)`` reads, unchanged and strictly.

    ``state`` is T3's, adapters merged (`lora.merged_state`). Speaker encoder, codec and voice are copied from ``beside``; the
    codec gets the `computed_buffers` that its file lacks.
    Resemble's loader knows tables of 704 and 2454 text rows alone: tags that stand in rows behind those cannot go along,
    and with ``trim`` they are cut off (such a text is then read with ``[es]``).

    Raises:
        UserError: the table is of another size, and ``trim`` was not asked for; a part of ``beside`` cannot be read.
    """
    folder = Path(folder)
    rows = len(state["text_emb.weight"])
    fitting = max((known for known in PUBLISHED_ROWS if known <= rows), default=None)
    if fitting is None or fitting < rows and not trim:
        raise UserError(f"the text table has {rows} rows and Resemble's loader takes {' or '.join(map(str, PUBLISHED_ROWS))}: "
                        "its vocabulary had no free ids for the dialect tags. Export with trim=true to leave the tags out; "
                        "this project's own checkpoint keeps them")
    content = vocabulary if isinstance(vocabulary, dict) else json.loads(Path(vocabulary).read_text(encoding="utf-8"))
    if fitting < rows:
        state = state | {name: state[name][:fitting] for name in ("text_emb.weight", "text_head.weight")}
        content = content | {"added_tokens": [t for t in content["added_tokens"] if t["id"] < fitting],
                             "model": content["model"] | {"vocab": {token: number for token, number in
                                                                    content["model"]["vocab"].items() if number < fitting}}}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PUBLISHED_ROWS[fitting]
    save_file({name: weight.to(dtype).contiguous() for name, weight in state.items()}, file, metadata={"format": "pt"})
    english = file.name == ENGLISH_T3
    (folder / (ENGLISH_VOCABULARY if english else MULTILINGUAL_VOCABULARY)).write_text(
        json.dumps(content, ensure_ascii=False), encoding="utf-8")
    if beside is None:
        return file
    for part in (beside.speaker_encoder, beside.codec, beside.voice):
        if part is None or part.parent.resolve() == folder.resolve():
            continue
        name = {beside.codec: "s3gen.pt", beside.speaker_encoder: "ve.pt"}.get(part, part.name)
        if part == beside.voice:
            shutil.copy2(part, folder / name)
            continue
        state = read_part(part)
        lacking = {key: value for key, value in computed_buffers().items() if key not in state} if part == beside.codec else {}
        if part.suffix == ".safetensors" or lacking:  # from_local reads .pt alone
            torch.save(state | lacking, folder / name)
        else:
            shutil.copy2(part, folder / name)
    return file


def shapes_of(file: Path | str) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a file, which is not read.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        with safe_open(file, "pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read as safetensors ({error}); fetch it again") from error


def fingerprint(file: Path | str) -> str:
    """SHA-256 of a file's size and of 64 parts of 64 KiB, evenly over it: tells files of weights apart in milliseconds."""
    digest, size = hashlib.sha256(), Path(file).stat().st_size
    digest.update(str(size).encode())
    with Path(file).open("rb") as opened:
        for part in range(64):
            opened.seek(part * max(0, size - 2**16) // 63)
            digest.update(opened.read(2**16))
    return digest.hexdigest()


def codec_file(folder: Path) -> Path | None:
    """The file of speech tokeniser, S3Gen and vocoder in a folder."""
    return _first(folder, "s3gen.pt", "s3gen.safetensors", "s3gen*.pt", "s3gen*.safetensors")


def _first(folder: Path, *patterns: str) -> Path | None:
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)
