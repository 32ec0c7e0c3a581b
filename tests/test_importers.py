"""Published weights in medgan's networks make the same images as the published networks."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from published import FAMILIES, aged, attention_state, mask_state, resnet_state

from medgan.errors import ConfigError, ModelError
from medgan.inference.engine import Engine
from medgan.models.importers import read_published
from medgan.models.importers.checkpoint import read_state
from medgan.models.importers.detect import read_generator
from medgan.models.tensor_file import load_weights
from medgan.networks import UNKNOWN
from medgan.networks.build import build_generators


def networks_of(imported):
    generators = build_generators(imported.network)
    states = (imported.forward, imported.backward)
    for generator, state in zip(generators, states, strict=True):
        if state is not None:
            load_weights(generator, state, where="test")
            generator.eval()
    return generators


def saved(folder: Path, states, names=("latest_net_G_A.pth", "latest_net_G_B.pth"), **options):
    paths = [folder / name for name in names]
    for path, state in zip(paths, states, strict=True):
        torch.save(state, path, **options)
    return paths


def in_air(x, forward):
    """An image of any size: on a canvas of air whose sides are multiples of 4, then cut out."""
    height, width = x.shape[2:]
    tall, wide = -(-height // 4) * 4, -(-width // 4) * 4
    top, left = (tall - height) // 2, (wide - width) // 2
    canvas = torch.full((*x.shape[:2], tall, wide), -1.0)
    canvas[:, :, top : top + height, left : left + width] = x
    return forward(canvas)[:, :, top : top + height, left : left + width]


def as_inferred(x, generator, network):
    """The same by medgan's inference."""
    engine = Engine(generator, network, least=(0, 0), device="cpu", bf16=False)
    return torch.from_numpy(engine(x.numpy(), UNKNOWN, details=False))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_an_imported_network_makes_the_published_image_in_both_directions(name, channels, tmp_path):
    published = FAMILIES[name]
    states = [published.state(channels, seed) for seed in (1, 2)]
    imported = read_published(saved(tmp_path, states))
    assert imported.family == published.family
    assert imported.directions == ("forward", "backward")
    for state, generator in zip(states, networks_of(imported), strict=True):
        for size in ((24, 32), (27, 30)):
            x = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1
            with torch.no_grad():
                expected = in_air(x, lambda y, state=state: published.forward(state, y))
                difference = (as_inferred(x, generator, imported.network) - expected).abs().max()
            assert expected.std() > 0.01
            assert difference < 1e-5


@pytest.mark.parametrize("name", ["v2", "geo", "maskgan"])
def test_old_spellings_prefixes_norm_buffers_and_file_format_change_nothing(name, tmp_path):
    state = FAMILIES[name].state(3 if name == "geo" else 1, 1)
    new = read_published(saved(tmp_path, [state], ["new.pth"]))
    (old_file,) = saved(tmp_path, [aged(state)], ["old.pth"], _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(old_file)
    old = read_published([old_file])
    assert old.network == new.network
    assert old.forward.keys() == new.forward.keys()
    for key, tensor in new.forward.items():
        torch.testing.assert_close(old.forward[key], tensor, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("names", "swapped"),
    [
        (("e_net_G_A.pth", "e_net_G_B.pth"), False),
        (("e_net_G_B.pth", "e_net_G_A.pth"), True),
        (("netG_B2A.pth", "netG_A2B.pth"), True),
        (("G_B.pth", "first.pth"), True),
        (("one.pth", "two.pth"), False),
    ],
)
def test_the_name_of_a_file_tells_its_direction_else_the_order_does(names, swapped, tmp_path):
    states = [resnet_state(1, seed, blocks=1) for seed in (1, 2)]
    imported = read_published(saved(tmp_path, states, names))
    expected = states[1] if swapped else states[0]
    torch.testing.assert_close(imported.forward["encoder.1.weight"], expected["model.1.weight"])


def test_channels_may_differ_between_the_domains(tmp_path):
    states = [resnet_state(3, 1, out=1, blocks=1), resnet_state(1, 2, out=3, blocks=1)]
    imported = read_published(saved(tmp_path, states))
    assert imported.network.channels == (3, 1)
    forward, backward = networks_of(imported)
    assert forward(torch.zeros(1, 3, 16, 16)).image.shape == (1, 1, 16, 16)
    assert backward(torch.zeros(1, 1, 16, 16)).image.shape == (1, 3, 16, 16)


def test_one_file_gives_one_direction(tmp_path):
    paths = saved(tmp_path, [resnet_state(3, 1, out=1, blocks=1)], ["x_net_G_B.pth"])
    imported = read_published(paths)
    assert imported.directions == ("backward",)
    assert imported.forward is None
    assert imported.network.channels == (1, 3)


def test_ten_contents_and_attentions_are_geo_unless_said_otherwise(tmp_path):
    state = attention_state(1, contents=10, maps=10, blocks=1)
    paths = saved(tmp_path, [state], ["x.pth"])
    geo, maskgan = read_published(paths), read_published(paths, "maskgan")
    assert (geo.network.contents, geo.network.copy_input) == (10, False)
    assert "--family" in geo.notes[0]
    assert (maskgan.network.contents, maskgan.network.copy_input) == (9, True)
    plain = attention_state(1, contents=9, maps=10, blocks=1)
    with pytest.raises(ConfigError, match="--family"):
        read_published(saved(tmp_path, [plain], ["y.pth"]), "geo")


def test_licences_travel(tmp_path):
    licences = {}
    for name, family in FAMILIES.items():
        imported = read_published(saved(tmp_path, [family.state(1, 0)], [f"{name}.pth"]))
        licences[imported.family] = imported.licence
    assert "NC" in licences["AttentionGAN"] and "NC" in licences["AttentionGAN-v1"]
    assert licences["MaskGAN"].startswith("unknown")
    assert licences["CycleGAN"].startswith("BSD")


def without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


BASE = attention_state(1, contents=9, maps=10, blocks=1)
LATER = "resnet_blocks.0.conv2.bias"
WRONG_TENSORS = {
    "missing": (without(BASE, "conv2.weight"), "conv2.weight is missing"),
    "no head": (without(BASE, "deconv3_content.weight"), "deconv3_content.weight"),
    "no first": (without(BASE, "conv1.weight"), "conv1.weight"),
    "unknown": (BASE | {"conv9.weight": torch.zeros(1)}, "conv9.weight"),
    "affine norm": (BASE | {"conv1_norm.weight": torch.zeros(8)}, "conv1_norm.weight"),
    "shape": (
        BASE | {"conv2.weight": torch.zeros(16, 8, 5, 5)},
        r"conv2\.weight has shape \(16, 8, 5, 5\), not \(16, 8, 3, 3\)",
    ),
    "heads": (BASE | {"deconv3_content.weight": torch.zeros(7, 8, 7, 7)}, "deconv3_content"),
    "flat": (BASE | {"conv1.weight": torch.zeros(8, 49)}, "conv1.weight is not of a 2-D"),
    "long number": (BASE | {f"resnet_blocks{'9' * 5000}.conv1.weight": torch.zeros(1)}, "not have"),
    "narrow": (BASE | {"conv1.weight": torch.zeros(2, 1, 7, 7)}, "width"),
    "wide": (BASE | {"conv1.weight": torch.zeros(100_000, 1, 1, 1)}, "conv1.weight has shape"),
    "infinite": (BASE | {"conv2.bias": torch.full((16,), torch.inf)}, "conv2.bias"),
    "integers": (BASE | {"conv2.bias": torch.zeros(16, dtype=torch.int32)}, "conv2.bias"),
    "no blocks": ({k: v for k, v in BASE.items() if "resnet" not in k}, "blocks"),
    "expanded": (
        BASE | {"conv2.bias": torch.zeros(1).expand(10**9, 10**9)}, "larger than the file",
    ),
    "discriminator": ({"model.0.weight": torch.zeros(8, 1, 4, 4)}, "a discriminator"),
    "unet": ({"model.model.0.weight": torch.zeros(8, 1, 4, 4)}, "U-Net"),
    "cut": (resnet_state(1, blocks=1) | {"model.7.filt": torch.zeros(1)}, "blurs"),
    "another": ({"weight": torch.zeros(8)}, "no generator"),
    "gap": (
        without(without(resnet_state(1, blocks=3), "model.11.conv_block.1.weight"), "x"),
        "model.11.conv_block.1.weight is missing",
    ),
    "old spelling": (
        {k.replace("blocks.0", "blocks1"): v for k, v in without(BASE, LATER).items()},
        r"resnet_blocks1\.conv2\.bias is missing",
    ),
    "second of a block with dropout": (
        resnet_state(1, dropout=True, blocks=1)
        | {"model.10.conv_block.6.weight": torch.zeros(32, 32, 5, 5)},
        r"model\.10\.conv_block\.6\.weight has shape \(32, 32, 5, 5\), not \(32, 32, 3, 3\)",
    ),
    "three halvings": (
        {k.replace("model.1", "model.2"): v for k, v in resnet_state(1, blocks=3).items()}
        | {"model.1.weight": torch.zeros(8, 1, 7, 7)},
        "halves twice",
    ),
    "no end": (without(mask_state(1, blocks=1), "model.28.weight"), r"model\.2\d\.weight"),
    "empty": ({}, "not a mapping"),
    "nested": ({"state_dict": {"conv1.weight": torch.zeros(1)}}, "state_dict"),
    "list": ([torch.zeros(1)], "list"),
    "numbered": ({1: torch.zeros(1)}, "not a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_TENSORS)
def test_wrong_tensors_are_named(fault, tmp_path):
    state, message = WRONG_TENSORS[fault]
    with pytest.raises(ModelError, match=message) as caught:
        read_published(saved(tmp_path, [state], ["x.pth"]))
    assert "x.pth" in str(caught.value)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_tensor_can_be_named_as_its_file_does(name, old, tmp_path):
    state = FAMILIES[name].state(1, 0)
    if old and not any("resnet_blocks" in stem for stem in state):
        pytest.skip("there is one spelling only")
    (path,) = saved(tmp_path, [aged(state) if old else state], ["x.pth"])
    file = read_state(path)
    generator = read_generator(file, path)
    named = {generator.published_name(ours): tensor for ours, tensor in generator.state.items()}
    kept = {stem for stem in file if not (old and "running" in stem)}
    made = {stem.rpartition(".")[2] for stem in named.keys() - kept}
    assert kept <= named.keys() and made <= {"num_batches_tracked", "bias"}
    for stem in kept:
        # of MaskGAN's contents the last is left out
        assert torch.equal(named[stem], file[stem][: len(named[stem])])


class Code:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def damaged_files(folder: Path) -> dict[str, Path]:
    whole = saved(folder, [BASE], ["whole.pth"])[0].read_bytes()
    (folder / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.pth").write_text("conv1.weight: 1\n")
    (folder / "pickle.pth").write_bytes(pickle.dumps(Code(folder / "ran")))
    torch.save({"conv1.weight": Code(folder / "ran")}, folder / "code.pth")
    with zipfile.ZipFile(folder / "zip.pth", "w") as archive:
        archive.writestr("a.txt", "no checkpoint")
    with (
        zipfile.ZipFile(folder / "whole.pth") as archive,
        zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in archive.namelist():
            bomb.writestr(name, bytes(10**6) if "/data/" in name else archive.read(name))
    (folder / "folder.pth").mkdir()
    kinds = ("truncated", "empty", "text", "pickle", "code", "zip", "bomb", "folder", "missing")
    return {kind: folder / f"{kind}.pth" for kind in kinds}


def test_damaged_and_hostile_files_are_one_typed_error_and_nothing_runs(tmp_path):
    for kind, path in damaged_files(tmp_path).items():
        with pytest.raises(ModelError, match=f"{kind}.pth") as caught:
            read_published([path])
        assert "weights_only" not in str(caught.value), "torch's advice to run the code"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("position", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_with_changed_bytes_is_imported_or_refused(position, tmp_path):
    (path,) = saved(tmp_path, [resnet_state(1, blocks=1, width=4)], ["x.pth"])
    content = bytearray(path.read_bytes())
    start = int(position * len(content))
    content[start : start + 64] = b"\xff" * len(content[start : start + 64])
    path.write_bytes(content)
    try:
        imported = read_published([path])
    except ModelError:
        return
    assert imported.directions == ("forward",)


def test_two_files_must_be_of_one_model_and_of_two_directions(tmp_path):
    small, large = resnet_state(1, blocks=1), resnet_state(1, blocks=2)
    with pytest.raises(ModelError, match="blocks 1 and 2"):
        read_published(saved(tmp_path, [small, large]))
    with pytest.raises(ModelError, match="CycleGAN and AttentionGAN"):
        read_published(saved(tmp_path, [small, BASE]))
    with pytest.raises(ConfigError, match="one direction"):
        read_published(saved(tmp_path, [small, small], ["a_net_G_A.pth", "b_net_G_A.pth"]))
    with pytest.raises(ConfigError, match="3 files"):
        read_published([tmp_path / "a_net_G_A.pth"] * 3)
