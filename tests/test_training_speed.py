"""The step that is measured, and what it is measured against."""

import copy
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from unpaired import loud

from medgan.recipes import ceilings
from medgan.recipes.plain_step import LEARNING_RATE, PlainStep
from medgan.recipes.training_speed import MedganStep, Setup, convolution_macs

Steps = tuple[MedganStep, PlainStep]

BF16_NOISE = 0.02
"""A rounding to 8 bits errs by 2^-9 at most. Some thirty layers, one after the other and each
normalised, add up to the square root of thirty times that: one part in a hundred of a score, of
whose square twice that."""


@pytest.fixture
def steps(tmp_path: Path) -> Callable[..., Steps]:
    """Both on the same weights, farther from zero than published, so that every term counts."""

    def make(precision: str = "fp32", size: int = 32, *, plain_bf16: bool = False) -> Steps:
        setup = Setup(size=size, channels=2, batch=2, width=4, precision=precision)
        own = MedganStep(setup, tmp_path)
        loud(own.trainer.method, 2)
        plain = PlainStep(setup.channels, setup.width, bf16=plain_bf16)
        plain.start_like(own.trainer.method)
        return own, plain

    return make


def networks(own: MedganStep, plain: PlainStep) -> Iterator[tuple[nn.Module, nn.Module]]:
    method = own.trainer.method
    yield method.G_A, plain.G_A
    yield method.G_B, plain.G_B
    yield method.D_A.judges["plain"], plain.D_A
    yield method.D_B.judges["plain"], plain.D_B


def dead_biases(network: nn.Module) -> set[str]:
    """Those that the norm after them takes away: their gradients are nothing but rounding."""
    return {
        f"{parent}.{name}.bias"
        for parent, part in network.named_modules()
        if isinstance(part, nn.Sequential)
        for (name, _), (_, after) in pairwise(part.named_children())
        if isinstance(after, nn.InstanceNorm2d)
    }


def test_a_step_has_the_losses_and_leaves_the_weights_of_the_plain_one(steps) -> None:
    own, plain = steps()
    batch = own.trainer.batches.at(1)
    before = copy.deepcopy(own.trainer.method.state_dict())
    found, expected = own(batch), plain(batch.unpaired)
    assert found.keys() - expected.keys() == {"moved_A", "moved_B", "background_attention"}
    assert len(expected) == 8
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-5, atol=0, msg=name)
    for mine, its in networks(own, plain):
        dead = dead_biases(its)
        assert dead
        theirs = its.state_dict()
        for name, tensor in mine.state_dict().items():
            if name not in dead:
                torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-5, msg=name)
    moved = own.trainer.method.G_A.state_dict()["encoder.1.weight"] - before["G_A.encoder.1.weight"]
    assert moved.abs().min() > LEARNING_RATE / 2


def test_the_dead_biases_are_dead_the_next_step_has_the_same_losses(steps) -> None:
    own, plain = steps()
    for number in (1, 2):
        batch = own.trainer.batches.at(number)
        found, expected = own(batch), plain(batch.unpaired)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-4, atol=0, msg=name)


@pytest.mark.parametrize("plain_bf16", [False, True])
def test_in_bf16_the_losses_differ_by_its_rounding(steps, plain_bf16: bool) -> None:
    # norms over the four values that discriminators have of 32 px would magnify the rounding
    own, plain = steps("bf16", 64, plain_bf16=plain_bf16)
    batch = own.trainer.batches.at(1)
    found, expected = own(batch), plain(batch.unpaired)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=BF16_NOISE, atol=0, msg=name)
    if not plain_bf16:
        assert any(not torch.equal(found[name], loss) for name, loss in expected.items())


def macs_by_hooks(step: PlainStep, run: Callable[[], object]) -> float:
    """Of every convolution: forward, and as much for each gradient that is asked for."""
    total = 0.0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        many = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        passes = 1 + module.weight.requires_grad + inputs[0].requires_grad
        total += passes * many.numel() * module.weight[0].numel()

    modules = [*step.generators.modules(), *step.discriminators.modules()]
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [module.register_forward_hook(count) for module in convolutions]
    run()
    for hook in hooks:
        hook.remove()
    return total


def test_the_operations_of_a_step_are_those_of_its_convolutions(steps) -> None:
    own, plain = steps()
    images = own.trainer.batches.at(1).unpaired
    expected = macs_by_hooks(plain, lambda: plain(images))
    assert convolution_macs(lambda: plain(images)) == expected


def test_the_operations_of_the_probes_are_counted_right() -> None:
    for probe in ceilings.Ceilings(8, 12, "cpu").probes:
        with FlopCounterMode(display=False) as counter:
            probe.work()
        assert counter.get_total_flops() == probe.flop, probe


def test_a_ceiling_is_the_median_rate_of_the_faster_layout(monkeypatch) -> None:
    found = ceilings.Ceilings(8, 12, "cpu")
    # fp32 in two layouts and as matrices, then bf16; the first of each is for warming up
    first = [9, 4, 9, 2, 9, 1, 9, 8, 9, 8, 9, 8]
    seconds = iter([*first, 6, 1, 3, 8, 4, 8, 5, 3, 5, 8, 8, 8])
    monkeypatch.setattr(ceilings, "seconds_of", lambda work: next(seconds))
    for _ in range(3):
        found.measure()
    rates = found.gflops()
    convolution, product = found.probes[0].flop / 1e9, found.probes[2].flop / 1e9
    assert rates["convolution"] == pytest.approx({"fp32": convolution / 2, "bf16": convolution / 8})
    assert rates["matrix_product"] == pytest.approx({"fp32": product / 3, "bf16": product / 8})


@pytest.mark.slow
def test_the_verb_reports_a_step(medgan_cli, tmp_path: Path) -> None:
    report = tmp_path / "train.json"
    options = ("--size", 32, "--channels", 1, "--width", 4, "--steps", 2, "--precision", "fp32")
    code, out, _ = medgan_cli("benchmark", "train", *options, "--json", report)
    assert code == 0
    assert "seconds_per_step" in out
    found = json.loads(report.read_text())
    assert found["setup"]["size"] == 32
    seconds, plain = found["seconds_per_step"], found["seconds_per_step_plain"]
    assert found["ratio"] == pytest.approx(plain / seconds)
    assert found["images_per_second"] == pytest.approx(2 / seconds)
    gflop = 2e3 * found["convolution_tmac_per_step"]
    ceiling = found["ceilings_gflops"]["convolution"]["fp32"]
    assert found["share_of_convolution_ceiling"] == pytest.approx(gflop / seconds / ceiling)
    assert found["peak_memory_mb"] > 100
    assert found["environment"]["device"] in ("cpu", torch.cuda.is_available() and
                                              torch.cuda.get_device_name())  # fmt: skip


def test_a_size_that_networks_cannot_halve_ends_with_2(medgan_cli) -> None:
    for verb in ("train", "translate"):
        code, _, err = medgan_cli("benchmark", verb, "--size", 33, "--width", 4)
        assert code == 2
        assert "multiples of 4" in err
