"""That the pretended GPU refuses what a real one refuses, and counts what the host would wait for."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.pretend_gpu import CUDA, PretendGpu


@pytest.fixture
def gpu() -> Iterator[PretendGpu]:
    with PretendGpu() as pretended:
        yield pretended


def there(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device=CUDA)


@pytest.mark.parametrize("meeting", [
    lambda: there(3) + torch.ones(3), lambda: torch.ones(3) @ there(3), lambda: torch.cat([there(3), torch.ones(3)]),
    lambda: there(3)[torch.tensor([0, 1])], lambda: functional.embedding(torch.tensor([0]), there(3, 2)),
    lambda: torch.stack([there(), torch.ones(())]), lambda: there(3).masked_fill_(torch.ones(3) > 0, 1.0),
    lambda: functional.linear(there(2, 3), torch.ones(4, 3)),
])  # fmt: skip
def test_tensors_of_two_devices_do_not_meet(gpu, meeting):
    with pytest.raises(RuntimeError, match="same device"):
        meeting()


@pytest.mark.parametrize("become", [lambda t: t.numpy(), np.asarray, lambda t: t.detach().numpy()])
def test_a_tensor_of_the_gpu_is_no_array(gpu, become):
    with pytest.raises((TypeError, RuntimeError)):
        become(there(3))


@pytest.mark.parametrize(("what", "count"), [
    (lambda t: t.sum().item(), 1), (lambda t: float(t.sum()), 1), (lambda t: bool((t > 0).any()), 1),
    (lambda t: t.tolist(), 1), (lambda t: t.cpu(), 1), (lambda t: t.to("cpu"), 1), (lambda t: t[t > 0], 1),
    (lambda t: (t > 0).nonzero(), 1), (lambda t: t.masked_select(t > 0), 1),
    (lambda t: t.repeat_interleave(t.long()), 1), (lambda t: t.repeat_interleave(t.long(), output_size=4), 0),
    (lambda t: torch.zeros(3).to(CUDA), 1), (lambda t: torch.zeros(3).to(CUDA, non_blocking=True), 1),
    (lambda t: torch.zeros(3).pin_memory().to(CUDA), 1), (lambda t: torch.zeros(3).pin_memory().to(CUDA, non_blocking=True), 0),
    (lambda t: torch.tensor([1.0, 2.0], device=CUDA), 1), (lambda t: torch.zeros(3, device=CUDA), 0),
    (lambda t: torch.where(t > 0, t, 0.0), 0), (lambda t: t.masked_fill(t > 0, 2.0), 0), (lambda t: t * torch.tensor(2.0), 0),
    (lambda t: t[t.long()], 0), (lambda t: t.to(torch.float16), 0), (lambda t: t.clone().copy_(torch.zeros(4)), 1),
    (lambda t: torch.unique(t), 1), (lambda t: t.sort(), 0),
])  # fmt: skip
def test_waits_are_counted(gpu, what: Callable, count: int):
    values = there(4)
    what(values)
    assert len(gpu.waits) == count, gpu.waits


def test_the_backward_pass_is_seen_too(gpu):
    weights = there(4).requires_grad_()
    kept = weights[weights > 0].sum()
    assert len(gpu.waits) == 1
    kept.backward()
    assert len(gpu.waits) == 2 and weights.grad.device == CUDA
    with pytest.raises(RuntimeError, match="same device"):
        weights.grad + torch.ones(4)


def test_the_values_are_those_of_the_cpu(gpu):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 3), torch.randn(7, 5)
    expected = functional.gelu(layer(x)).square().mean()
    expected.backward()
    gradient, layer.weight.grad = layer.weight.grad, None
    found = functional.gelu(gpu.move(layer)(x.to(CUDA))).square().mean()
    found.backward()
    torch.testing.assert_close(found.cpu(), expected)
    torch.testing.assert_close(layer.weight.grad.cpu(), gradient)
    assert layer.weight.device == CUDA and isinstance(layer.weight, torch.nn.Parameter)
