"""What discriminators are shown, and what they answer for."""

import numpy as np
import pytest
import torch
from unpaired import SIZE, BothPasses, loud, tiny, unpaired_batch

from medgan.methods import Cyclic
from medgan.methods.differentiable_augmentation import DifferentiableAugmentation
from medgan.methods.judges import Judges, Views, build_judges
from medgan.networks import UNKNOWN

SEED = 11


def make(size=SIZE, *, mirror_axis=None, channels=1, **network):
    torch.manual_seed(2)
    judges = loud(Judges(tiny(network=network).network, channels, mirror_axis), 3)
    seen = channels + ("guided" in judges.judges)
    real, fake = torch.rand(2, 2, seen, *size) * 2 - 1
    return judges, Views(real, fake)


def captured(judges):
    """Every tensor that a judge is given from now on, by the judge's name."""
    shown = {name: [] for name in judges.judges}
    for name, judge in judges.judges.items():
        judge.register_forward_hook(lambda _, given, __, name=name: shown[name].append(given[0]))
    return shown


def rng():
    return np.random.default_rng(SEED)


def separately(judges, views):
    """The published loss of every judge, real and fake in passes of their own."""
    total = 0.0
    for name, judge in judges.judges.items():
        channels = judges.channels + (name == "guided")
        real, fake = judge(views.real[:, :channels]), judge(views.fake[:, :channels])
        total = total + 0.5 * (((real - 1) ** 2).mean() + (fake**2).mean())
    return total


@pytest.mark.parametrize("guided", ["none", "beside", "instead"])
@pytest.mark.parametrize("channels", [1, 2])
def test_real_and_fake_in_one_pass_are_judged_as_in_two(guided, channels):
    judges, views = make(guided=guided, channels=channels)
    shown = captured(judges)
    loss = judges.loss(views, rng())
    assert all([len(batch) for batch in given] == [4] for given in shown.values())
    torch.testing.assert_close(loss, separately(judges, views), rtol=1e-5, atol=1e-6)


def test_batch_norm_never_sees_real_and_fake_together():
    judges, views = make((96, 96), discriminator="image", norm="batch")
    shown = captured(judges)
    loss = judges.loss(views, rng())
    assert [len(batch) for batch in shown["plain"]] == [2, 2]
    torch.testing.assert_close(loss, separately(judges, views))
    joined = judges.judges["plain"](torch.cat((views.real, views.fake)))
    together = 0.5 * (((joined[:2] - 1) ** 2).mean() + (joined[2:] ** 2).mean())
    assert (together - loss).abs() > 1e-4


@pytest.mark.parametrize("guided", ["none", "beside", "instead"])
def test_a_generator_is_to_deceive_every_judge(guided):
    judges, views = make(guided=guided)
    expected = sum(
        ((judge(views.fake[:, : 1 + (name == "guided")]) - 1) ** 2).mean()
        for name, judge in judges.judges.items()
    )
    torch.testing.assert_close(judges.deceived(views.fake, rng()), expected)


def test_plain_judges_are_shown_no_attention():
    judges, _ = make()
    image = torch.rand(2, 1, *SIZE)
    assert judges.view(image, torch.rand(2, 1, *SIZE), UNKNOWN) is image


def test_no_gradient_flows_through_the_attention_that_is_shown():
    judges, _ = make(guided="instead")
    image, foreground = torch.rand(2, 2, 1, *SIZE, requires_grad=True).unbind()
    image.retain_grad()
    foreground.retain_grad()
    judges.deceived(judges.view(image, foreground, UNKNOWN), rng()).backward()
    assert image.grad.abs().sum() > 0
    assert foreground.grad is None


def test_real_images_are_shown_with_the_attention_of_the_made_ones():
    torch.manual_seed(0)
    config = tiny(network={"guided": "beside", "channels": (2, 1)})
    method, batch = loud(Cyclic(config)), unpaired_batch(config)
    made = BothPasses(method, batch)
    to_B, to_A = method.G_A(batch.real_A), method.G_B(batch.real_B)
    shown_A, shown_B = captured(method.D_A), captured(method.D_B)
    made.judged()
    for shown, real, way in ((shown_A, batch.real_B, to_B), (shown_B, batch.real_A, to_A)):
        foreground = 1 - way.background
        expected = [torch.cat((image, foreground), 1) for image in (real, way.image)]
        torch.testing.assert_close(shown["guided"], [torch.cat(expected)])
        torch.testing.assert_close(shown["plain"], [torch.cat((real, way.image))])


def test_older_fakes_are_judged_with_the_attention_they_were_made_with():
    torch.manual_seed(0)
    config = tiny(network={"guided": "instead"})
    method, batch = loud(Cyclic(config)), unpaired_batch(config)
    made = BothPasses(method, batch)
    older = torch.rand(2, 2, *SIZE)
    shown = captured(method.D_A)
    made.judged(A=older)
    torch.testing.assert_close(shown["guided"][0][2:], older)


def moved(images, mirror_axis=0):
    """The first view that is drawn."""
    return DifferentiableAugmentation.draw(rng(), images.shape, mirror_axis=mirror_axis)(images)


@pytest.mark.parametrize("mirror_axis", [0, 1])
@pytest.mark.parametrize("guided", ["none", "instead"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_augmentation_moves_real_and_fake_and_their_attention_alike(mirror_axis, guided, norm):
    judges, views = make(
        (96, 96), mirror_axis=mirror_axis, guided=guided, discriminator="image", norm=norm
    )
    shown = captured(judges)
    judges.loss(views, rng())
    (given,) = shown.values()
    expected = moved(torch.cat((views.real, views.fake)), mirror_axis)
    assert not torch.equal(expected[:2], views.real)
    torch.testing.assert_close(torch.cat(given), expected)


def test_augmentation_is_drawn_anew_every_time_and_passes_gradients():
    judges, views = make(mirror_axis=0)
    shown = captured(judges)
    draws, fake = rng(), views.fake.requires_grad_()
    for _ in range(2):
        judges.deceived(fake, draws).backward()
    first, second = shown["plain"]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, moved(fake))
    assert fake.grad.abs().sum() > 0


def test_without_augmentation_nothing_is_drawn():
    judges, views = make()
    draws = rng()
    judges.loss(views, draws)
    judges.deceived(views.fake, draws)
    assert draws.random() == rng().random()


@pytest.mark.parametrize("augmented", [False, True])
def test_judges_mirror_left_to_right_whatever_an_image_is_of(augmented):
    settings = {"training": {"differentiable_augmentation": augmented}}
    slices = tiny(**settings)
    pictures = tiny(source="IMAGE", target="IMAGE", data={"images": {"root": "x"}}, **settings)
    for config, axis in ((slices, 0), (pictures, 1)):
        expected = axis if augmented else None
        assert [judges.mirror_axis for judges in build_judges(config)] == [expected] * 2


def test_each_domain_has_judges_of_its_own_channels():
    D_A, D_B = build_judges(tiny(network={"channels": (2, 1), "guided": "beside"}))
    # D_A judges what G_A makes: images of the target
    assert (D_A.channels, D_B.channels) == (1, 2)
    torch.manual_seed(0)
    D_A.deceived(torch.rand(1, 2, *SIZE), rng())
    D_B.deceived(torch.rand(1, 3, *SIZE), rng())
