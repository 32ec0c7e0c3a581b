"""From heatmap to marks: tiles against the whole, peaks and suppression against brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medgan.detection.config import DetectorConfig, DetectorInput, PredictionConfig
from medgan.detection.marks import Mark, write_marks
from medgan.detection.network import CellMaps, HeatmapNetwork
from medgan.detection.prediction import _spans, find_marks, peaks, scan_heatmap, suppress
from medgan.detection.prepared import Prepared, prepare
from medgan.errors import DataError, GeometryError
from medgan.metrics.findings import read_marks
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, reorient

SHAPE = (93, 40, 44)


def config(**prediction) -> DetectorConfig:
    return DetectorConfig.model_validate({"network": {"width": 4}, "prediction": prediction})


def random_scan(shape=SHAPE) -> Prepared:
    rng = np.random.default_rng(3)
    hu = rng.integers(-1000, 400, shape).astype(np.int16)
    return Prepared(hu, np.ones(shape, bool), Grid(shape, np.diag([1.5, 1.5, 1.5, 1])))


def random_network(settings: DetectorConfig) -> HeatmapNetwork:
    torch.manual_seed(0)
    network = HeatmapNetwork(settings.network)
    torch.nn.init.normal_(network.heads.weight, std=0.3)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.momentum = 1.0
    network(torch.rand(2, 1, 32, 32, 32) * 2 - 1)
    return network.eval()


@pytest.mark.parametrize("stride", [2, 4])
def test_tiles_with_a_halo_as_wide_as_the_network_sees_give_what_the_whole_scan_gives(stride):
    whole = DetectorConfig.model_validate({"network": {"width": 4, "stride": stride}})
    tiled = whole.model_copy(update={"prediction": PredictionConfig(tile=192, halo=64)})
    scan = random_scan((256, 24, 24))
    network = random_network(whole)
    at_once = whole.model_copy(update={"prediction": PredictionConfig(tile=256)})
    left, right = (scan_heatmap(network, scan, c) for c in (at_once, tiled))
    assert left.probability.std() > 0.001
    for name in ("probability", "offset", "log_diameter"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=2e-5)


def test_without_a_halo_tiles_do_differ_at_their_borders():
    scan, whole = random_scan((128, 24, 24)), config(tile=128)
    network = random_network(whole)
    left, right = (scan_heatmap(network, scan, c) for c in (whole, config(tile=64, halo=0)))
    apart = np.abs(left.offset - right.offset).max((0, 2, 3))
    assert apart[28:36].max() > 1e-3


def test_of_a_mirrored_scan_the_mirror_image_is_said():
    scan, settings = random_scan((48, 24, 32)), config()
    mirrored = replace(scan, hu=scan.hu[::-1].copy())
    network = random_network(settings)
    left, right = (scan_heatmap(network, image, settings) for image in (scan, mirrored))
    np.testing.assert_allclose(right.probability, left.probability[::-1], atol=1e-6)
    np.testing.assert_allclose(right.log_diameter, left.log_diameter[::-1], atol=1e-5)
    np.testing.assert_allclose(right.offset[0], -left.offset[0][::-1], atol=1e-5)
    np.testing.assert_allclose(right.offset[1:], left.offset[1:, ::-1], atol=1e-5)
    # as it is and mirrored, the network alone says different things
    once = config(mirrored=False)
    left, right = (scan_heatmap(network, image, once) for image in (scan, mirrored))
    assert np.abs(right.probability - left.probability[::-1]).max() > 1e-3


@pytest.mark.parametrize("length", [8, 64, 72, 120, 248])
@pytest.mark.parametrize(("tile", "halo"), [(64, 0), (64, 16), (64, 24)])
def test_every_voxel_belongs_to_one_tile_which_sees_its_halo(length, tile, halo):
    spans = list(_spans(length, PredictionConfig(tile=tile, halo=halo)))
    owned = [voxel for span in spans for voxel in range(span.own.start, span.own.stop)]
    assert owned == list(range(length))
    for span in spans:
        assert span.start % 8 == 0
        assert span.start >= 0
        assert span.start + span.size <= length
        assert span.start <= max(0, span.own.start - halo)
        assert span.start + span.size >= min(length, span.own.stop + halo)


def test_tiles_without_lung_are_not_looked_at():
    scan = random_scan((128, 24, 24))
    lungs = np.zeros(scan.hu.shape, bool)
    lungs[100:110] = True
    scan = replace(scan, region=lungs)
    made = scan_heatmap(random_network(config()), scan, config(tile=64, halo=8))
    assert made.probability[:20].max() == 0
    assert made.probability[50:55].min() > 0


def test_peaks_are_those_of_brute_force():
    rng = np.random.default_rng(4)
    probability = rng.integers(0, 12, (9, 8, 7)).astype(np.float32) / 12
    expected = []
    for x, y, z in np.ndindex(probability.shape):
        box = probability[max(0, x - 1) : x + 2, max(0, y - 1) : y + 2, max(0, z - 1) : z + 2]
        if probability[x, y, z] >= max(0.5, box.max()):
            expected.append([x, y, z])
    assert peaks(probability, 0.5).tolist() == expected
    assert len(peaks(np.zeros((4, 4, 4), np.float32), 0.0)) == 0


def test_suppression_is_that_of_brute_force():
    rng = np.random.default_rng(5)
    place, size = rng.uniform(0, 40, (80, 3)), rng.uniform(2, 30, 80)
    sure = rng.random(80).astype(np.float32)
    alive, kept = set(range(80)), []
    while alive:
        best = max(alive, key=lambda i: sure[i])
        kept.append(best)
        reach = max(6.0, size[best] / 2)
        alive = {i for i in alive - {best} if np.linalg.norm(place[i] - place[best]) >= reach}
    assert suppress(place, sure, size, PredictionConfig()).tolist() == kept
    assert len(kept) < 60


class Bright(torch.nn.Module):
    """Sees a nodule in every cell that holds a voxel of +1, at that voxel."""

    stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        lit = (image > 0.99).float()
        blocks = lit[0, 0].unfold(0, 2, 2).unfold(1, 2, 2).unfold(2, 2, 2)
        found = blocks.amax((3, 4, 5))
        axes = []
        for axis in (3, 4, 5):
            others = tuple(a for a in (3, 4, 5) if a != axis)
            along = blocks.amax(others)
            axes.append((along[..., 1] - along[..., 0]) * 0.25)
        size = torch.full_like(found, float(np.log(5.0)))
        return CellMaps((found * 20 - 10)[None], torch.stack(axes)[None], size[None])


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "PIR"])
def test_marks_are_world_coordinates_whatever_the_orientation_of_the_scan(codes):
    hu = np.full((40, 36, 32), -900, np.int16)
    voxels = [(7, 8, 9), (30, 11, 22), (19, 28, 5)]
    for voxel in voxels:
        hu[voxel] = 400
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -31.0, 17.0, 250.0
    ct = Volume(hu, affine, "CT")
    lungs = Volume(np.ones(hu.shape, np.uint8), affine, "LABEL")
    made = config(separation_mm=2.0)
    image = prepare(reorient(ct, codes), reorient(lungs, codes), made.input)
    marks = find_marks(Bright(), image, made)
    expected = [(affine @ [*voxel, 1])[:3] * [-1, -1, 1] for voxel in voxels]
    assert len(marks) == 3
    for place in expected:
        assert min(np.abs(place - mark.position_mm).max() for mark in marks) < 1e-4
    assert marks[0].diameter_mm == pytest.approx(5.0, rel=1e-4)


def test_marks_outside_the_lungs_are_dropped_and_those_in_the_margin_kept():
    hu = np.full((48, 32, 32), -900, np.int16)
    hu[10, 16, 16] = hu[26, 16, 16] = hu[32, 16, 16] = 400
    lungs = np.zeros(hu.shape, np.uint8)
    lungs[:24] = 1
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    scan = Volume(hu, affine, "CT"), Volume(lungs, affine, "LABEL")
    images = [prepare(*scan, DetectorInput(lung_margin_mm=mm)) for mm in (0.0, 6.0)]
    assert [len(find_marks(Bright(), image, config())) for image in images] == [1, 2]


def test_preparation_refuses_what_it_cannot_use():
    grid = np.eye(4)
    ct = Volume(np.zeros((8, 8, 8), np.int16), grid, "CT")
    empty = Volume(np.zeros((8, 8, 8), np.uint8), grid, "LABEL")
    with pytest.raises(DataError, match="empty"):
        prepare(ct, empty, DetectorInput())
    with pytest.raises(DataError, match="CT"):
        prepare(Volume(ct.array, grid, "MR"), empty, DetectorInput())
    with pytest.raises(GeometryError):
        prepare(ct, Volume(np.ones((9, 8, 8), np.uint8), grid, "LABEL"), DetectorInput())


def test_written_marks_are_read_by_the_evaluation_as_they_were(tmp_path):
    marks = {
        "1.2.3": [Mark((1.23456789, -2.5, 300.0), 0.75, 8.0), Mark((0.0, 1 / 3, 2.0), 1e-7, 4.0)],
        "1.2.4": [],
    }
    write_marks(tmp_path / "results.csv", marks)
    read = read_marks(tmp_path / "results.csv", ("1.2.4", "1.2.3"))
    assert read.scan.tolist() == [1, 1]
    assert read.position_mm.tolist() == [list(mark.position_mm) for mark in marks["1.2.3"]]
    assert read.probability.tolist() == [0.75, 1e-7]
