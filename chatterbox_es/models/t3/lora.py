"""Low-rank adapters on T3's Llama (Hu et al. 2021), by `peft`: added, saved, read, merged."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.network import T3

NAME = "default"  # peft's
WEIGHTS, TEXT = "adapter_model.safetensors", "text_emb.safetensors"
PREFIX = "base_model.model."  # of peft's names for the model that it has wrapped


@dataclass(frozen=True)
class LoraOptions:
    """``alpha / rank`` scales what the adapters add."""

    rank: int = 32
    alpha: float = 64.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

    def config(self) -> LoraConfig:
        return LoraConfig(r=self.rank, lora_alpha=self.alpha,  # type: ignore[arg-type]  # peft only divides it by the rank
                          lora_dropout=self.dropout, target_modules=list(self.targets))


def add_lora(model: T3, options: LoraOptions) -> None:
    """Put adapters on the Llama's linear layers: in float32, and adding nothing yet.

    Raises:
        UserError: the model has adapters already, or no layer of a name.
    """
    if next(adapted(model.tfmr), None):
        raise UserError("the model has adapters already; merge them first")
    names = {name.rpartition(".")[2] for name, part in model.tfmr.named_modules() if isinstance(part, nn.Linear)}
    if unknown := [target for target in options.targets if target not in names]:
        raise UserError(f"lora.targets: T3's Llama has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    inject_adapter_in_model(options.config(), model.tfmr, NAME)
    for name, weight in model.tfmr.named_parameters():
        if ".lora_" in name:
            weight.data = weight.data.float()  # peft takes the type of the layer beneath, which may be half


def adapted(module: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """The layers that have an adapter, by name."""
    return ((name, part) for name, part in module.named_modules() if isinstance(part, LoraLinear))


def beneath(layer: LoraLinear) -> nn.Linear:
    """The layer that an adapter stands on."""
    return cast(nn.Linear, layer.get_base_layer())


def merged_weight(layer: LoraLinear) -> Tensor:
    """The weight beneath with the adapter added in float32, in its own type."""
    weight = beneath(layer).weight
    return (weight.float() + layer.get_delta_weight(NAME).float()).to(weight.dtype)


def lora_state(model: T3) -> dict[str, Tensor]:
    """The adapters alone, under the names that `peft` reads."""
    return {PREFIX + name: weight.detach().cpu().contiguous() for name, weight in get_peft_model_state_dict(model.tfmr).items()}


def save_lora(model: T3, options: LoraOptions, folder: Path) -> None:
    """A folder that `peft` puts on Resemble's own ``t3.tfmr`` (``PeftModel.from_pretrained(t3.tfmr, folder)``), with the
    text embedding beside it, as both were trained together."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(lora_state(model), folder / WEIGHTS, metadata={"format": "pt"})
    save_file({"text_emb.weight": model.text_emb.weight.detach().cpu().contiguous()}, folder / TEXT,
              metadata={"format": "pt"})
    options.config().save_pretrained(str(folder))


def load_lora(model: T3, options: LoraOptions, folder: Path) -> None:
    """Adapters and text embedding of `save_lora`, on a model that has none yet.

    Raises:
        UserError: they are not there, or not for this model.
    """
    try:
        weights, text = load_file(folder / WEIGHTS), load_file(folder / TEXT)["text_emb.weight"]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{folder} holds no adapters that can be read ({error})") from error
    add_lora(model, options)
    here = lora_state(model)
    shapes = [{name: tuple(weight.shape) for name, weight in some.items()} for some in (weights, here)]
    if shapes[0] != shapes[1] or text.shape != model.text_emb.weight.shape:
        raise UserError(f"the adapters in {folder} are of another rank, model or vocabulary; check the rank and the weights "
                        "they were trained on")
    set_peft_model_state_dict(model.tfmr, {name.removeprefix(PREFIX): weight for name, weight in weights.items()})
    with torch.no_grad():
        model.text_emb.weight.copy_(text)


@torch.no_grad()
def merge_lora(model: T3) -> None:
    """Add the adapters to the weights beneath, in float32, and take them away.

    Frozen weights held in half precision are rounded once more by that; `weights.merged_state` adds to the original ones.
    """
    for name, layer in list(adapted(model.tfmr)):
        beneath(layer).weight.copy_(merged_weight(layer))
        _replace(model, name, beneath(layer))


@contextlib.contextmanager
def merged_meanwhile(model: T3) -> Iterator[None]:
    """Speak without the adapters' own products: layers whose weights have them added stand in their place, and go afterwards.

    The model's own weights are not touched. It takes the memory of the adapted layers once more, in the type they are kept in.
    """
    layers = list(adapted(model.tfmr))
    try:
        for name, layer in layers:
            with torch.no_grad():
                weight = merged_weight(layer)
            merged = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            merged.weight = nn.Parameter(weight, requires_grad=False)
            _replace(model, name, merged.eval())
        yield
    finally:
        for name, layer in layers:
            _replace(model, name, layer)


def _replace(model: T3, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.tfmr.get_submodule(parent), child, layer)


@torch.no_grad()
def merged_state(model: T3, original: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state dict of the model with its adapters merged, under the published names; the model stays as it is.

    ``original`` are the weights that it was started from: adapters are then added to those, and frozen ones are taken from
    there, so that frozen weights kept in half precision cost no exactness.
    """
    state = {name.replace(".base_layer.", "."): weight for name, weight in model.state_dict().items() if ".lora_" not in name}
    if original is not None:
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        state = {name: weight if name in trained else original[name] for name, weight in state.items()}
    for name, layer in adapted(model.tfmr):
        key = f"tfmr.{name}.weight"
        state[key] = (state[key].float() + layer.get_delta_weight(NAME).float().to(state[key].device)).to(state[key].dtype)
    return {name: weight.detach().cpu().clone().contiguous() for name, weight in state.items()}
