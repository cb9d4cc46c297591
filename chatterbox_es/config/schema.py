"""Everything a run can be told, typed: YAML in ``conf/`` gives the values, a key that is not here is an error.

A choice is a ``Literal``, which OmegaConf checks; a range and a path are said by `setting`, and checked and read by
`config.checks` and `config.arguments`.
"""

import dataclasses
import functools
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from chatterbox_es.mel_contract import MelContract

Kind = Literal["kokoro", "espeak", "folder", "common_voice", "mls", "cml_tts", "openslr", "css10", "mailabs", "hf", "mix"]
Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed"]
Attention = Literal["auto", "efficient", "math"]
Objective = Literal["val_loss", "distillmos", "similarity", "wer"]


def setting(default: Any = MISSING, *, path: bool = False, **bounds: float) -> Any:
    """A key with bounds: ``at_least``, ``above``, ``at_most`` or ``below``; of a list, each element's. ``path``: a file or
    folder, which the command line takes as it is typed."""
    metadata = {"path": path, "bounds": bounds}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class SourceConfig:
    """One corpus: its form, where it is, and which of its rows are used; docs/corpora.md says which kind reads which key."""

    kind: Kind = MISSING  # mix: several of the others
    path: str | None = setting(None, path=True)  # the corpus's folder; hf: also the name of a data set
    dialect: str | None = None  # of rows that name none; in a mix null is the mix's
    weight: float = setting(1.0, above=0)  # in a mix: how often each of its utterances is drawn an epoch
    layout: Literal["auto", "ljspeech", "piper", "coqui"] = "auto"  # folder: of metadata.csv
    parts: list[str] | None = None  # common_voice, mls, cml_tts: which of its lists; null: see docs/corpora.md
    speakers: list[str] | None = None  # only these
    dialects: list[str] | None = None  # only these
    min_up_votes: int = setting(0, at_least=0)  # common_voice, hf
    max_down_votes: int | None = setting(None, at_least=0)  # common_voice, hf
    min_similarity: float = setting(0.0, at_least=0, at_most=1)  # cml_tts: of the text and what a recogniser heard
    config: str | None = None  # hf: which configuration of the data set, such as es
    hf_split: str = "train"  # hf
    streaming: bool = False  # hf: read while it is fetched; no copy stays on the disk
    text_column: str | None = None  # hf; null: recognised by its name, as the following
    audio_column: str | None = None  # hf
    speaker_column: str | None = None  # hf
    dialect_column: str | None = None  # hf


@dataclass
class DataConfig(SourceConfig):
    """Which recordings, in which dialect, and how they are divided."""

    name: str = MISSING
    dialect: str = MISSING
    sources: dict[str, SourceConfig] = field(default_factory=dict)  # mix: corpora by the names they are given
    temperature: float = setting(1.0, above=0)  # mix: 1 draws by size, more draws small corpora oftener; docs/corpora.md
    lexicon: str | None = setting(None, path=True)  # your own pronunciations
    prepared: str = setting("outputs/prepared", path=True)  # where prepared sets are kept
    max_seconds: float = setting(30.0, above=0, at_most=3600)  # a longer one is a fault
    max_channels: int = setting(2, at_least=1)  # likewise one with more channels; they are averaged
    check_files: bool = True  # a recording that breaks off, or whose extension is another format's, is a fault
    trim_silence: bool = True  # at both ends, with a margin
    loudness: float | None = setting(-23.0, at_least=-90, below=0)  # dBFS of the active speech; null: as they are
    max_fault_share: float = setting(0.05, at_least=0, at_most=1)  # of the rows; above it preparation stops
    drop: str | None = None  # rules for what is left out on purpose, such as "snr<15, duplicate_audio"; see docs/lint.md
    drop_list: str | None = setting(None, path=True)  # likewise a file of ids
    validation_share: float = setting(0.05, at_least=0, below=1)
    validation_minimum: int = setting(20, at_least=1)  # utterances, but never more than a fifth of the corpus
    validation_maximum: int = setting(200, at_least=1)
    split_seed: int = setting(0, at_least=0)
    split: Literal["text", "speaker"] = "text"  # text: no text on both sides | speaker: no speaker on both sides
    workers: int | None = setting(None, at_least=1, at_most=1024)  # processes that prepare; null: one a core


@dataclass
class PrepareConfig:
    """How a corpus is prepared; nothing here changes what comes out. docs/preparation.md"""

    engine: Literal["local", "ray"] = "local"  # local: processes on this machine | ray: Ray Data, on a cluster
    workers: int | None = setting(None, at_least=1, at_most=1024)  # processes or tasks; null: data.workers, or one a core
    shard: int = setting(512, at_least=1)  # utterances in a file of mels, which is also what one process does at a time
    check: Literal["quick", "full"] = "quick"  # how to see whether files have changed: docs/preparation.md
    cache: str | None = setting(None, path=True)  # where copies of remote sets are kept; null: ~/.cache/chatterbox_es/prepared
    address: str | None = None  # ray: of the cluster; null: RAY_ADDRESS, or one that is started here


@dataclass
class ModelConfig:
    """What every model has; a model adds its own keys in a subclass, which is named here once and is known."""

    name: str = MISSING


@dataclass
class AcousticConfig(ModelConfig):
    """What models that predict mels from phonemes share."""

    symbols: int = setting(at_least=1, at_most=1_000_000)  # rows of the embedding
    width: int = setting(at_least=4, at_most=65_536)
    layers: int = setting(at_least=1, at_most=1000)
    heads: int = setting(at_least=1)
    feedforward: int = setting(at_least=1, at_most=262_144)
    dropout: float = setting(at_least=0, below=1)
    duration_hidden: int = setting(at_least=1, at_most=262_144)  # likewise of the predictor of prosody
    prosody: bool = MISSING  # tell the decoder pitch and energy, which are predicted and can be chosen; docs/prosody.md
    use_speaker: bool = False  # tell the model who speaks: an embedding for each speaker of the corpus
    use_dialect: bool = False  # likewise in which dialect
    speaker_minimum: int = setting(10, at_least=1)  # recordings to train on; speakers with fewer share one embedding


@dataclass
class Fase4Config(AcousticConfig):
    """The write-up's model: mels from phonemes."""

    name: str = "fase4"
    prosody: bool = False
    decoder_hidden: list[int] = setting(at_least=1, at_most=262_144)  # widths of the mel decoder's hidden layers
    # mels: fitted to the training mels beforehand; grown: says at first what the decoder of the run it starts from says
    decoder_start: Literal["random", "mels", "grown"] = MISSING


@dataclass
class FlowConfig(AcousticConfig):
    """A decoder that sees its neighbours, and a flow that draws what the mean leaves out. docs/flow.md"""

    name: str = "flow"
    decoder_blocks: int = setting(at_least=1, at_most=1000)
    decoder_expansion: float = setting(above=0, at_most=64)  # of the width within a block
    flow_width: int = setting(at_least=8, at_most=65_536)
    flow_blocks: int = setting(at_least=1, at_most=1000)
    flow_expansion: float = setting(above=0, at_most=64)
    flow_share: float = setting(0.25, above=0, at_most=1)  # of a batch's sentences, that the flow learns from
    adversarial_from: float = setting(0.5, at_least=0, at_most=1)  # share of a 4_3 run, then a discriminator takes part
    adversarial_weight: float = setting(0.1, at_least=0)  # what its scores count
    feature_weight: float = setting(0.5, at_least=0)  # what the distance of its features counts
    discriminator_width: int = setting(32, at_least=1, at_most=4096)


@dataclass
class ChatterboxConfig(ModelConfig):
    """Resemble AI's Chatterbox: its T3, from published weights. docs/chatterbox.md"""

    name: str = "chatterbox"
    weights: str = setting(path=True)  # the folder with Resemble's files
    fetch: bool = False  # get them from the Hugging Face hub where the folder is not there, or not whole
    repository: str = "ResembleAI/chatterbox"  # of the hub
    codec: str = "resemble"  # recordings to speech tokens and back; MODULE:FUNCTION names another one
    codec_batch: int = setting(16, at_least=1)  # recordings that the codec takes at once while preparing
    dialect_tags: bool = False  # [es-mx] and the like in front of a text, in place of [es]
    rank: int = setting(32, at_least=1)  # of the adapters of 4_2
    alpha: float = setting(64.0, above=0)  # alpha / rank scales what they add
    lora_dropout: float = setting(0.05, at_least=0, below=1)
    lora_targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                             "down_proj"])
    text_drop_prob: float = setting(0.1, at_least=0, below=1)  # of training an utterance without its text, for guidance
    text_weight: float = setting(0.1, at_least=0)  # of the loss on the text, beside that on the speech
    start_tokens: int = setting(2, at_least=1)  # Resemble's inference gives two
    checkpointing: bool = True  # compute layers again in the backward pass, for less memory
    perceiver_dropout: float = setting(0.2, at_least=0, below=1)  # of the prompt's attention, as published


@dataclass
class VocoderConfig(ModelConfig):
    """The project's own vocoder: waveforms from mels. docs/vocoder.md"""

    name: str = "vocoder"
    width: int = setting(at_least=8, at_most=65_536)
    slow_blocks: int = setting(at_least=0, at_most=1000)  # at the mels' frame rate
    blocks: int = setting(at_least=0, at_most=1000)  # at that of the filters
    expansion: float = setting(above=0, at_most=64)  # of the width within a block
    upsampling: int = setting(at_least=1)  # filters a mel frame
    n_fft: int = setting(at_least=16, at_most=65_536)  # samples of a filter's window
    pitch_width: int = setting(at_least=8, at_most=65_536)  # of the part that finds F0
    pitch_blocks: int = setting(at_least=0, at_most=1000)
    segment_frames: int = setting(at_least=4)  # mel frames of each utterance that a batch has
    adversarial_from: float = setting(at_least=0, at_most=1)  # share of the run after which discriminators take part; 1: never
    judged: float = setting(above=0, at_most=1)  # share of a batch that they see
    periods: list[int] = setting(at_least=1)  # samples; one discriminator each
    period_width: int = setting(at_least=1)  # channels of their first layer; the last has eight times as many
    resolutions: list[int] = setting(at_least=16)  # samples of a transform; one discriminator each
    resolution_width: int = setting(at_least=1)  # channels
    mel_weight: float = setting(at_least=0)  # what each loss counts
    spectral_weight: float = setting(at_least=0)
    pitch_weight: float = setting(at_least=0)
    adversarial_weight: float = setting(at_least=0)
    feature_weight: float = setting(at_least=0)
    voice: str | None = setting(None, path=True)  # a run or outputs/best: at the end the vocoder is written beside that voice
    own_mels: float = setting(at_least=0, at_most=1)  # share of the stretches that are cut from that voice's own mels


@dataclass
class PhaseConfig:
    """What is trained, from what, for how long."""

    name: str = MISSING  # 4_2 | 4_3 | vocoder
    # text_and_lora: chatterbox; vocoder: a phase of its own, with its own model
    trains: Literal["text_encoder", "text_and_lora", "full_model", "vocoder"] = MISSING
    encoder_from: str | None = None  # the phase whose newest finished run of the same data it starts from
    epochs: int = setting(at_least=1)
    batch_size: int = setting(at_least=1)  # utterances an optimiser step, on all processes together
    batch_frames: int | None = setting(None, at_least=1)  # frames an optimiser step, in place of batch_size
    lr: float = setting(above=0)
    optimiser: Literal["adamw", "adafactor"] = "adamw"  # a row and a column of a matrix in place of two
    betas: list[float] = setting([0.9, 0.98], at_least=0, below=1)
    weight_decay: float = setting(0.01, at_least=0)
    warmup_steps: int = setting(300, at_least=0)
    schedule: Literal["cosine", "linear"] = "cosine"  # both to 0
    clip: float = setting(1.0, above=0)  # norm of the gradient
    validate_every: int = setting(at_least=1)  # epochs; then the best so far is kept, and a state to go on from


@dataclass
class HwConfig:
    """What the hardware decides."""

    name: str = MISSING
    accelerator: Literal["cpu", "cuda"] = MISSING
    precision: Precision = "auto"  # auto: the fastest that the hardware itself computes
    torchrun: bool = False  # one process a GPU, started by torchrun
    threads: int | None = setting(None, at_least=1, at_most=1024)  # CPU threads; null: one a core
    keep_memory: bool = True  # CPU: let malloc keep large blocks (half of the time was page faults without)
    tf32: bool = False  # GPU: fp32 products in TF32 (Ampere and later)
    attention: Attention = "auto"  # GPU; auto: flash where no mask is given, else efficient, math
    fused: bool = True  # AdamW in one kernel
    compile: bool = False  # torch.compile of the encoder's layers; docs/experiments.md says where it pays
    allocator: str | None = None  # GPU: PYTORCH_CUDA_ALLOC_CONF
    workers: int = setting(0, at_least=0, at_most=64)  # threads that read batches ahead; 0: read when it is their turn
    pin_memory: bool = False  # GPU: copies without waiting
    micro_batch_frames: int | None = setting(None, at_least=1)  # of one forward and backward; a larger batch is accumulated
    micro_batch_tokens: int | None = setting(None, at_least=1)  # likewise tokens, padding included
    memory_gb: float | None = setting(None, above=0)  # to plan with; null: what is free
    price_per_hour: float | None = setting(None, at_least=0)  # of this machine, in your money


@dataclass
class TrainConfig:
    """This run: where it starts, when it ends, what it shows and keeps."""

    seed: int = setting(0, at_least=0)
    epochs: int | None = setting(None, at_least=1)  # in place of the phase's
    max_steps: int | None = setting(None, at_least=1)
    max_minutes: float | None = setting(None, above=0)  # from the first step to the end of the last validation
    encoder: str | None = setting(None, path=True)  # 4_3: the 4_2 run to take the text encoder from, in place of the newest
    # a finished run of any data whose whole model is the start; base: what comes along, of model=flow and model=vocoder
    finetune: str | None = setting(None, path=True)
    samples: int = setting(3, at_least=0)  # held-out sentences spoken and drawn at each validation
    # held-out sentences spoken and heard at validations: quality, similarity, WER; at most 5 % of the time. docs/training.md
    listen: int = setting(0, at_least=0)
    recogniser: str | None = None  # of train.listen: whisper:MODEL, vosk:DIR or pocketsphinx:DIR; null: no WER
    log_every: int = setting(10, at_least=1)  # steps
    ema: float | None = setting(None, at_least=0, below=1)  # such as 0.999: a running mean of the weights is kept beside them
    keep_best: int = setting(1, at_least=1)  # checkpoints that were the best when they were written; older ones are deleted
    state_minutes: float = setting(5.0, at_least=0)  # between states to go on from; one is also written at each validation
    keep_states: int = setting(2, at_least=1)  # newest states; older ones are deleted, and all when the run has finished
    max_skipped: int = setting(20, at_least=1)  # steps in a row without a finite loss and gradient, after which the run stops
    trial_steps: int = setting(3, at_least=0, at_most=1000)  # measured for the plan; they teach the model nothing
    wandb: Literal["offline", "online", "disabled"] = "offline"


@dataclass
class SweepConfig:
    """A study (``sweep=4_2``): runs that search for settings. The ranges are ``hydra.sweeper.params`` in ``conf/sweep/``."""

    study: str = "${phase.name}_${data.name}"  # whoever runs the same command joins the study of this name
    folder: str = setting("${outputs}/studies/${sweep.study}", path=True)  # trials and study.html
    storage: str = "sqlite:///${sweep.folder}/study.db"  # or postgresql+psycopg://USER@HOST/DATABASE for many machines
    n_trials: int = setting(30, at_least=1)  # of all processes together; more of them extend a study
    budget: str | None = None  # of the trials' time, all processes together: 8h, 90m, 1h30m; null: no limit
    objective: Objective = "val_loss"  # of trials; the others are what train.listen hears, and wer needs train.recogniser
    pruner: Literal["asha", "hyperband", "median", "none"] = "asha"
    min_resource: int = setting(1, at_least=1)  # validations before a trial can be pruned
    parallel: int = setting(1, at_least=1)  # trials that one launch is given; more with hydra/launcher=joblib or submitit_slurm
    heartbeat: int = setting(15, at_least=1)  # seconds; a trial silent for four of them is taken for killed, and run again
    select: bool = True  # when the study has ended: choose the best checkpoint and keep it as outputs/best
    trial: int | None = None  # set by the sweeper for each run: the trial's id in the storage
    slot: int | None = None  # likewise: its place among the n_trials, and its folder's name


@dataclass
class Config:
    mel: MelContract = field(default_factory=MelContract)
    data: DataConfig = MISSING
    model: ModelConfig = MISSING
    phase: PhaseConfig = MISSING
    hw: HwConfig = MISSING
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    outputs: str = setting("outputs", path=True)
    resume: str | None = setting(None, path=True)  # auto: the newest run of this command, if there is one; or a run directory


@dataclass
class AcousticRun(Config):
    """A configuration as models of mels read it: for types alone."""

    model: AcousticConfig = MISSING


@dataclass
class Fase4Run(AcousticRun):
    """Likewise of ``model=fase4``."""

    model: Fase4Config = MISSING


@dataclass
class FlowRun(AcousticRun):
    """Likewise of ``model=flow``."""

    model: FlowConfig = MISSING


@dataclass
class ChatterboxRun(Config):
    """Likewise of ``model=chatterbox``."""

    model: ChatterboxConfig = MISSING


@dataclass
class VocoderRun(Config):
    """Likewise of ``model=vocoder``."""

    model: VocoderConfig = MISSING


MODELS: dict[str, type[ModelConfig]] = {node.name: node for kind in (AcousticConfig, ModelConfig)
                                        for node in kind.__subclasses__() if node is not AcousticConfig}
# Keys of earlier versions, and what to write in their place; an old one is an error that says so.
RENAMED: dict[str, str] = {
    "phase.decoder_hidden": "model.decoder_hidden",
    "phase.decoder_start": "model.decoder_start",
    "model.unheard": "model.text_drop_prob",
    "model.starts": "model.start_tokens",
    "hw.lr": "phase.lr",
    "hw.batch_size": "phase.batch_size",
    "hw.dropout": "model.dropout (model=fase4), or model.lora_dropout and model.perceiver_dropout (model=chatterbox)",
    "hw.batch_frames": "hw.micro_batch_frames",
    "hw.batch_tokens": "hw.micro_batch_tokens",
    "data.min_likeness": "data.min_similarity",
    "sweep.spared": "sweep.min_resource",
}


@dataclass(frozen=True)
class Declared:
    """What the schema says of one key."""

    choices: tuple = ()
    bounds: dict[str, float] = field(default_factory=dict)
    is_path: bool = False
    is_text: bool = False


def declared(key: str) -> Declared | None:
    """What the schema says of a dotted key, of whichever model; None where it declares none."""
    return _declarations().get(_of_any_source(key))


def renamed(key: str) -> str | None:
    """What a key of an earlier version is called now; None where it is none."""
    return RENAMED.get(_of_any_source(key))


def _of_any_source(key: str) -> str:
    return re.sub(r"^data\.sources\.[^.]+\.", "data.", key)


@functools.cache
def _declarations() -> dict[str, Declared]:
    found = {}
    for prefix, part in (("", Config), *((f"{name}.", kind) for name, kind in get_type_hints(Config).items()
                                         if dataclasses.is_dataclass(kind)), *(("model.", kind) for kind in MODELS.values())):
        types = get_type_hints(part)
        for entry in dataclasses.fields(part):
            kinds = get_args(types[entry.name]) if get_origin(types[entry.name]) is not Literal else ()
            choices = get_args(types[entry.name]) if get_origin(types[entry.name]) is Literal else ()
            found[prefix + entry.name] = Declared(choices, entry.metadata.get("bounds", {}), entry.metadata.get("path", False),
                                                  types[entry.name] is str or str in kinds or list[str] in kinds)
    return found
