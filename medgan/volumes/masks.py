"""Which voxels are the patient."""

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from medgan.errors import DataError
from medgan.volumes.volume import Volume

Mask = NDArray[np.bool_]

CT_THRESHOLD_HU = -300.0
"""Between air with foam (below -700 HU) and fat (above -130 HU), for partial volume on skin."""

DETACH_MM = 2.5
"""Half the thickness below which something that touches the patient is taken for equipment.

Shells of tables and head holders are 1 to 3 mm thick; at 4 mm the tip of a nose came off too.
"""

SPECK_MM3 = 1000.0
"""Pieces of MR foreground smaller than this are noise; the scalp is larger."""

TWO_GROUPS = 0.8
"""Share of the variance that lies between two groups of values. The best split of one uniform
distribution has 0.75, of a normal one 0.64."""

DIM_SHARE = 0.15
"""Of dim tissue, its edges taken off, to the bright. Scans that are whole without it had 0.10 at
most, those that lost their scalp 0.19 and more."""

_BINS = 256

SEAL_MM = 6.0
"""Openings up to twice this wide (nostrils, ear canals, lips) do not let the outside in."""


def body_mask(volume: Volume) -> Mask:
    """Find the patient, without table and head holder, air-filled cavities included.

    CT is thresholded at -300 HU, MR where a smoothed logarithm of the signal separates best into
    background and tissue. The largest piece that survives an opening is the patient; it gets its
    own surface back, and every cavity is filled: sinuses, mouth, airways, lungs. MR is filled
    first: its dark skull parts the brain from a scalp that would not survive by itself.

    Args:
        volume: CT in HU or MR in arbitrary units, any orientation.

    Returns:
        (X, Y, Z) bool.

    Raises:
        DataError: the image is constant, holds no body, or is a LABEL.
    """
    foreground = _foreground(volume)
    if volume.modality == "MR":
        foreground = _filled(_without_specks(foreground, volume.spacing_mm), volume.spacing_mm)
    depth = max(DETACH_MM, min(volume.spacing_mm))
    largest = _largest_piece(_erode_mm(foreground, volume.spacing_mm, depth))
    if not largest.any():
        largest = _largest_piece(foreground)
    # One voxel more than was eroded, so that a curved surface comes back entire.
    reach = depth + max(volume.spacing_mm)
    body = foreground & dilate_mm(largest, volume.spacing_mm, reach)
    # Not before, for CT: table and patient enclose the air between them.
    return _filled(body, volume.spacing_mm) if volume.modality == "CT" else body


def dilate_mm(mask: Mask, spacing_mm: tuple[float, float, float], margin_mm: float) -> Mask:
    """Grow a mask by a distance.

    Args:
        mask: (X, Y, Z) bool.
        spacing_mm: voxel size along X, Y and Z.
        margin_mm: every voxel whose centre lies within this of a mask voxel's centre joins it.

    Returns:
        (X, Y, Z) bool.
    """
    if margin_mm <= 0 or not mask.any():
        return mask.copy()
    return _distance_mm(mask, spacing_mm) <= margin_mm + 1e-3


def _erode_mm(mask: Mask, spacing_mm: tuple[float, float, float], margin_mm: float) -> Mask:
    """What lies deeper than a distance; the image's own border is no surface."""
    return mask & ~dilate_mm(~mask, spacing_mm, margin_mm)


def _distance_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Distance of every voxel's centre to the nearest centre in a mask, in mm; 0 inside."""
    image = _image(mask)
    image.SetSpacing(spacing_mm)
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.asarray(_array(distance).clip(min=0), dtype=np.float32)


def _foreground(volume: Volume) -> Mask:
    array = volume.array
    if volume.modality == "LABEL":
        raise DataError("a label map has no body to find", remedy="Give the scan itself")
    low, high = float(array.min()), float(array.max())
    if not low < high:
        raise DataError("every voxel has the same value: there is no body", measured=low)
    if volume.modality == "CT":
        foreground = array > CT_THRESHOLD_HU
    else:
        foreground = _mr_foreground(array.astype(np.float32, copy=False))
    if not foreground.any() or foreground.all():
        raise DataError(
            "no body can be told from the background",
            measured=f"values {low:g} to {high:g}",
            remedy="Check the modality; CT must be in HU",
        )
    return foreground


def _mr_foreground(array: NDArray[np.float32]) -> Mask:
    """Otsu's threshold of the logarithm, in which a bias field adds rather than multiplies."""
    ceiling = float(np.percentile(array, 99.5)) or float(array.max())
    image = sitk.Median(_image(np.clip(array, 0, ceiling)), [1] * 3)
    # The floor keeps the zeros of a masked background from being a mode at minus infinity. One
    # step a line: each image that is not needed any more gives its memory back.
    image = image / ceiling
    image = image + 0.02
    image = sitk.Log(image)
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.SetNumberOfHistogramBins(_BINS)
    otsu.Execute(image)
    values = sitk.GetArrayViewFromImage(image).T
    return np.asarray(values > _below_dim_tissue(values, otsu.GetThreshold()))


def _below_dim_tissue(values: NDArray[np.float32], threshold: float) -> float:
    """Otsu's threshold of what lies below a first one, where that holds tissue; else the first.

    Bright fluid or fat takes the first threshold above scalp and muscle. Two groups have most of
    their variance between them (Otsu, IEEE Trans SMC 9 (1979) 62), and tissue is more than the
    edges of what is bright.
    """
    lowest = float(values.min())
    highest = float(values.max(where=values <= threshold, initial=lowest))
    if not lowest < highest:
        return threshold
    # of the histogram, which needs no copy of the voxels
    counts, edges = np.histogram(values, _BINS, range=(lowest, highest))
    share = counts / counts.sum()
    places = (edges[1:] + edges[:-1]) / 2
    mean = share @ places
    below, moment = np.cumsum(share)[:-1], np.cumsum(share * places)[:-1]
    # both ends hold a value, so that no split leaves a side empty
    between = (mean * below - moment) ** 2 / (below * (1 - below))
    variance = share @ (places - mean) ** 2
    best = int(between.argmax())
    if between[best] <= TWO_GROUPS * variance:
        return threshold
    lower = float(edges[best + 1])
    dim = ndimage.binary_erosion((values > lower) & (values <= threshold))
    return lower if dim.sum() > DIM_SHARE * (values > threshold).sum() else threshold


def _largest_piece(mask: Mask) -> Mask:
    labels = sitk.RelabelComponent(sitk.ConnectedComponent(_image(mask)), sortByObjectSize=True)
    return np.asarray(_array(labels) == 1)


def _without_specks(mask: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """The pieces of some size; all of them where none has it."""
    fewest = int(np.ceil(SPECK_MM3 / np.prod(spacing_mm)))
    pieces = sitk.ConnectedComponent(_image(mask))
    large = _array(sitk.RelabelComponent(pieces, minimumObjectSize=fewest)) > 0
    return large if large.any() else mask


def _filled(body: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Fill what the body, its narrow openings sealed, encloses in a slice along any axis."""
    filled = dilate_mm(body, spacing_mm, SEAL_MM)
    for axis in range(3):
        filled |= _enclosed(filled, axis)
    return body | _erode_mm(filled, spacing_mm, SEAL_MM)


def _enclosed(mask: Mask, axis: int) -> Mask:
    """Background that no path within its slice across ``axis`` joins to the slice's border."""
    structure = ndimage.generate_binary_structure(3, 1)
    np.moveaxis(structure, axis, 0)[[0, 2]] = False
    labels, count = ndimage.label(~mask, structure)
    outside = np.zeros(count + 1, dtype=bool)
    for side in {0, 1, 2} - {axis}:
        outside[labels.take([0, -1], side)] = True
    outside[0] = True
    return np.asarray(~outside[labels])


def _image(array: NDArray[Any]) -> sitk.Image:
    """An image with axes (X, Y, Z) in ITK's order."""
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    return sitk.GetImageFromArray(np.ascontiguousarray(array.T))


def _array(image: sitk.Image) -> NDArray[Any]:
    return sitk.GetArrayFromImage(image).T
