"""What a run can be told: `schema` declares, `arguments` reads what is typed, `compose` puts together, `checks` refuses."""

from chatterbox_es.config.arguments import hydra_arguments
from chatterbox_es.config.checks import check
from chatterbox_es.config.compose import CONF, NEW_FOLDERS, because, compose, read_config, register_schema, with_todays_names
from chatterbox_es.config.schema import (
    MODELS,
    AcousticConfig,
    AcousticRun,
    Attention,
    ChatterboxConfig,
    ChatterboxRun,
    Config,
    DataConfig,
    Fase4Config,
    Fase4Run,
    FlowConfig,
    FlowRun,
    HwConfig,
    Kind,
    ModelConfig,
    PhaseConfig,
    PrepareConfig,
    SourceConfig,
    SweepConfig,
    TrainConfig,
    VocoderConfig,
    VocoderRun,
)

__all__ = ["CONF", "MODELS", "NEW_FOLDERS", "AcousticConfig", "AcousticRun", "Attention", "ChatterboxConfig",
           "ChatterboxRun", "Config", "DataConfig",
           "Fase4Config", "Fase4Run", "FlowConfig", "FlowRun",
           "HwConfig", "Kind", "ModelConfig", "PhaseConfig", "PrepareConfig", "SourceConfig",
           "SweepConfig", "TrainConfig", "VocoderConfig", "VocoderRun", "because", "check", "compose", "hydra_arguments",
           "read_config", "register_schema", "with_todays_names"]
