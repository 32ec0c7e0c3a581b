"""Schematic chests for the detector's tests: two lungs, vessels as tubes, nodules as spheres."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.io import write_volume
from medgan.volumes import Volume


def make_chest(
    folder: Path,
    seed: int,
    shape=(80, 64, 64),
    mm=2.0,
    nodules=3,
    vessels=12,
    flipped=False,
    masks=None,
    mask_suffix="_lungs.nii.gz",
) -> Luna16Scan:
    """Write one chest; voxel positions of everything are known exactly."""
    rng = np.random.default_rng([seed, 77])
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(np.float32)
    middle, half = np.array(shape) / 2, np.array(shape) / 2
    lungs = np.zeros(shape, bool)
    for side in (-0.5, 0.5):
        centre = middle + np.multiply(half, (side, 0, 0))
        lungs |= (((grid - centre) / (half * [0.42, 0.8, 0.85])) ** 2).sum(-1) < 1
    hu = np.where(lungs, -850.0, 40.0).astype(np.float32)
    sites = np.argwhere(ndimage.binary_erosion(lungs, iterations=3))
    for _ in range(vessels):
        start, end = sites[rng.choice(len(sites), 2)].astype(float)
        along = (end - start) / max(np.linalg.norm(end - start), 1)
        offset = grid - start
        distance = np.linalg.norm(offset - (offset @ along)[..., None] * along, axis=-1)
        hu[(distance * mm < rng.uniform(1, 3)) & lungs] = 30
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = -middle * mm
    if flipped:
        affine[:2] *= -1
    spots = []
    while len(spots) < nodules:
        voxel = sites[rng.integers(len(sites))] + rng.uniform(-0.5, 0.5, 3)
        ras = (affine @ [*voxel, 1])[:3]
        spot = Nodule((-ras[0], -ras[1], ras[2]), float(rng.uniform(6, 14)))
        if all(np.linalg.norm(np.subtract(spot.position_mm, s.position_mm)) > 30 for s in spots):
            edge = spot.diameter_mm / 2 - np.linalg.norm((grid - voxel) * mm, axis=-1)
            inside = np.clip(edge / mm + 0.5, 0, 1)
            hu += inside * (20 - hu)
            spots.append(spot)
    hu += ndimage.gaussian_filter(rng.normal(size=shape), 0.6).astype(np.float32) * 60
    uid = f"2.25.{seed}.{int(flipped)}"
    mask = (masks or folder) / f"{uid}{mask_suffix}"
    scan = Luna16Scan(uid, folder / f"{uid}.mhd", None, tuple(spots), (), mask)
    write_volume(Volume(np.round(hu).astype(np.int16), affine, "CT"), scan.path)
    write_volume(Volume(lungs.astype(np.uint8), affine, "LABEL"), mask)
    return scan
