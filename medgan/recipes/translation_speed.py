"""How long a volume takes through a network, beside plain torch slice by slice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.config import NetworkConfig, PreparationConfig, parse_as
from medgan.data.preparation import prepare
from medgan.inference.translator import Translator, VolumeTranslation
from medgan.models.model_file import Model, ModelCard
from medgan.networks.build import build_generators
from medgan.recipes.device import Precision, device_name, peak_memory_mb
from medgan.recipes.measuring import in_new_process, in_turns
from medgan.recipes.plain_networks import PlainGenerator
from medgan.volumes import BACKGROUND, Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import WindowScale
from medgan.volumes.resampling import resample

FIELD_MM = 256.0
"""Edge of a slice, whatever its number of pixels."""

REACH = 0.8
"""Share of each axis that the body takes up, as heads do in scans of heads."""

SKULL = (0.82, 0.92)
"""Where it lies, in radii of the head."""


@dataclass(frozen=True)
class Setup:
    """What is translated, and by what.

    Attributes:
        size: rows and columns of each slice.
        slices: of the volume.
        width: feature maps after the network's first convolution (64 as published).
        batch: slices a pass of medgan, None: as many as it takes by itself; the plain program
            takes one.
        precision: of medgan; the plain program has fp32.
    """

    size: int = 256
    slices: int = 64
    width: int = 64
    batch: int | None = None
    precision: Precision = "bf16"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxels are cubes, and the model's grid is that of the volume."""
        edge = FIELD_MM / self.size
        return edge, edge, edge


@dataclass(frozen=True)
class TranslationSpeed:
    """medgan and a plain program on the same volume, in turns.

    Attributes:
        setup: what is translated, and by what.
        rounds: measured of each, after one that does not count.
        body_slices: slices with body; the plain program translates the others, too.
        seconds: of medgan for the volume, preparation included, median.
        seconds_plain: of the plain program, likewise.
        ratio: of the latter to the former.
        quartiles: of medgan's seconds.
        quartiles_plain: of the plain ones.
        peak_memory_mb: of a process of its own, or of the GPU's tensors in it, in 2^20 bytes.
        peak_memory_plain_mb: of the plain program, likewise.
        memory_ratio: of medgan's to the plain one's.
        largest_difference_hu: of the two results, anywhere.
        mean_difference_hu: absolute, inside the body and its margin.
    """

    setup: Setup
    rounds: int
    body_slices: int
    seconds: float
    seconds_plain: float
    ratio: float
    quartiles: tuple[float, float]
    quartiles_plain: tuple[float, float]
    peak_memory_mb: float
    peak_memory_plain_mb: float
    memory_ratio: float
    largest_difference_hu: float
    mean_difference_hu: float


def measure(setup: Setup = Setup(), *, rounds: int = 3) -> TranslationSpeed:
    """Translate a volume with both programs in turns.

    Args:
        setup: what is translated, and by what.
        rounds: of each that count, at least 1.

    Raises:
        ConfigError: no network can work like this.
        DataError: a volume of so few voxels has no body.
        OutputError: not enough memory.
    """
    _card(setup)
    peak, peak_plain = (in_new_process(side, setup) for side in (medgan_memory, plain_memory))
    volume = head(setup)
    own, plain = medgan(setup), _plain(setup)
    made, other = own(volume), plain(volume)
    difference = np.abs(made.image.array - other.array)
    body = resample(
        made.prepared[0].volume.with_array(made.prepared[0].mask_with_margin, modality="LABEL"),
        Grid.of(volume),
    ).array
    seconds = in_turns(
        {"medgan": lambda: own(volume), "plain": lambda: plain(volume)}, rounds
    )  # both end with results on the CPU
    mine, its = seconds["medgan"], seconds["plain"]
    return TranslationSpeed(
        setup=setup,
        rounds=rounds,
        body_slices=int(body.any(axis=(0, 1)).sum()),
        seconds=mine.median,
        seconds_plain=its.median,
        ratio=its.median / mine.median,
        quartiles=mine.quartiles,
        quartiles_plain=its.quartiles,
        peak_memory_mb=peak,
        peak_memory_plain_mb=peak_plain,
        memory_ratio=peak / peak_plain,
        largest_difference_hu=float(difference.max()),
        mean_difference_hu=float(difference[body].mean()),
    )


def head(setup: Setup) -> Volume:
    """An MR of a round head: noisy tissue, a dark skull, air around it."""
    random = np.random.default_rng(0)
    x, y, z = (
        (np.arange(count, dtype=np.float32) - (count - 1) / 2) / (REACH * count / 2)
        for count in (setup.size, setup.size, setup.slices)
    )
    values = np.empty((setup.size, setup.size, setup.slices), np.float32)
    for k in range(setup.slices):
        radius = np.sqrt(x[:, None] ** 2 + y[None] ** 2 + z[k] ** 2)
        signal = np.where(radius < 1, np.float32(600), np.float32(0))
        signal[(radius > SKULL[0]) & (radius < SKULL[1])] = 60
        values[..., k] = np.abs(signal + 20 * random.standard_normal(signal.shape, np.float32))
    return Volume(values, np.diag([*setup.spacing_mm, 1.0]), "MR", synthetic=True)


def medgan(setup: Setup) -> Callable[[Volume], VolumeTranslation]:
    """A translator with a network that was never trained."""
    return Translator(
        _model(setup), batch=setup.batch, device=device_name(), bf16=setup.precision == "bf16"
    )


def medgan_memory(setup: Setup) -> float:
    """Peak memory of a translation in this process, which must be new; 2^20 bytes."""
    medgan(setup)(head(setup))
    return peak_memory_mb()


def plain_memory(setup: Setup) -> float:
    """The same of the plain program."""
    _plain(setup)(head(setup))
    return peak_memory_mb()


def plain_translation(
    network: PlainGenerator, volume: Volume, preparation: PreparationConfig
) -> Volume:
    """Translate an MR as it is written down first: fp32, slice by slice, air among them.

    Args:
        network: on the device where it runs.
        volume: the MR.
        preparation: as medgan's, so that both networks see the same.

    Returns:
        The CT on the grid of the MR; float32 HU.
    """
    prepared = prepare(volume, preparation)
    scaled = prepared.scaled()
    made = np.empty_like(scaled)
    for k in range(scaled.shape[2]):
        made[..., k] = _translated(network, scaled[..., k], preparation.matrix)
    # the preparation cut these off; their result is air, whatever the network makes of air
    for _ in range(volume.shape[2] - scaled.shape[2]):
        _translated(network, np.full(scaled.shape[:2], -1, np.float32), preparation.matrix)
    hu = WindowScale(*preparation.window_hu).inverse(made)
    hu = np.where(prepared.mask_with_margin, hu, np.float32(BACKGROUND["CT"]))
    on_model_grid = prepared.volume.with_array(hu, modality="CT", synthetic=True)
    return resample(on_model_grid, Grid.of(volume))


def _translated(
    network: PlainGenerator, values: NDArray[np.float32], matrix: tuple[int, int]
) -> NDArray[np.float32]:
    """One slice in [-1, 1], which air surrounds up to the matrix on the way."""
    before = [(goal - size) // 2 for goal, size in zip(matrix, values.shape, strict=True)]
    inside = tuple(
        slice(start, start + size) for start, size in zip(before, values.shape, strict=True)
    )
    padded = np.full(matrix, -1, np.float32)
    padded[inside] = values
    device = next(network.parameters()).device
    with torch.inference_mode():
        made = network(torch.from_numpy(padded)[None, None].to(device))
    return made[0, 0].cpu().numpy()[inside]


def _card(setup: Setup) -> ModelCard:
    size = setup.size
    return ModelCard(
        source="MR",
        target="CT",
        directions=("forward",),
        preparation=parse_as(
            PreparationConfig, {"spacing_mm": list(setup.spacing_mm), "matrix": [size, size]}
        ),
        network=NetworkConfig(width=setup.width),
        provenance={},
    )


def _model(setup: Setup) -> Model:
    card = _card(setup)
    torch.manual_seed(0)
    network = build_generators(card.network)[0].eval().requires_grad_(False)
    return Model(network, None, card, sha256="")


def _plain(setup: Setup) -> Callable[[Volume], Volume]:
    """The plain program with the weights of medgan's network."""
    model = _model(setup)
    network = PlainGenerator(channels=1, width=setup.width)
    network.load_state_dict(model.generator("forward").state_dict())
    network.eval().requires_grad_(False).to(device_name())
    return lambda volume: plain_translation(network, volume, model.card.preparation)
