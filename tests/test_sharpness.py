"""How sharp a scan is, against blur that is known."""

import numpy as np
import pytest
from scipy import ndimage

from medgan.errors import DataError
from medgan.volumes import Volume
from medgan.volumes.sharpness import STEP_HU, edge_sigma_mm


@pytest.mark.parametrize("sigma_mm", [0.8, 1.2, 2.0])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.5, 0.5, 1.0)])
def test_the_blur_of_a_flat_wall_is_found(sigma_mm, spacing):
    shape = (80, 24, 24)
    lung = np.zeros(shape, bool)
    lung[:40] = True
    hu = np.where(lung, 40 - STEP_HU, 40).astype(np.float32)
    hu = ndimage.gaussian_filter(hu, np.divide(sigma_mm, spacing))
    scan = Volume(hu, np.diag([*spacing, 1.0]), "CT")
    lungs = scan.with_array(lung, modality="LABEL")
    # the slope between neighbours is less than that in the very middle
    assert edge_sigma_mm(scan, lungs) == pytest.approx(sigma_mm, rel=0.15)


def test_a_scan_without_lungs_has_no_sharpness():
    scan = Volume(np.zeros((8, 8, 8), np.int16), np.eye(4), "CT")
    with pytest.raises(DataError, match="empty"):
        edge_sigma_mm(scan, scan.with_array(np.zeros((8, 8, 8), bool), modality="LABEL"))
