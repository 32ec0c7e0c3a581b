"""A DICOM series through a translator: a synthetic series in the study of its source."""

from datetime import datetime
from pathlib import Path

from medgan.config import PreparationConfig
from medgan.inference.files import maps_of
from medgan.inference.translator import SYNTHETIC_MR_MAXIMUM, Translator, VolumeTranslation
from medgan.io.dicom import DicomSeries
from medgan.io.dicom.write import Derivation, write_derived, write_parametric_map
from medgan.models.model_file import ModelCard
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, grid_with_spacing, reorient, same_grid


def translate_series(
    translator: Translator,
    series: DicomSeries,
    folder: Path,
    *,
    created: datetime,
    details: bool = False,
) -> VolumeTranslation:
    """Translate a series and write the result into its study: one file a plane.

    Patient, study, frame of reference and place are those of the source. The same series, model and
    time of creation give the same files, byte for byte.

    Args:
        translator: its source modality is the series'.
        series: from ``read_series``.
        folder: ``0001.dcm``, ``0002.dcm``, ... go into it; it is made where it does not exist.
        created: time zone aware.
        details: also write the maps beside the folder, as ``<folder>_<map>.dcm``.

    Returns:
        What was written, before HU were rounded; ``image`` lies on the grid of ``series.volume``.

    Raises:
        DataError: a series of another modality, or without a body.
        GeometryError: a geometry for which DICOM has no form.
        OutputError: a file cannot be written.
    """
    result = translator(series.volume, details=details)
    write_translation(translator, result, series, folder, created)
    return result


def write_translation(
    translator: Translator,
    result: VolumeTranslation,
    series: DicomSeries,
    folder: Path,
    created: datetime,
) -> None:
    """Write what was made of a series, and its maps, as ``translate_series`` does.

    Args:
        translator: that made it.
        result: on the grid of ``series.volume``.
        series: the source.
        folder: of the files; maps go beside it.
        created: time zone aware.

    Raises:
        GeometryError: a geometry for which DICOM has no form.
        OutputError: a file cannot be written.
    """
    derivation = derivation_of(translator, series.volume, created)
    unit = "HU " if translator.target == "CT" else ""
    for name, values in maps_of(result).items():
        label = ("" if name == "attention" else unit) + name.replace("_", " ")
        path = folder.with_name(f"{folder.name}_{name}.dcm")
        write_parametric_map(values, series, path, derivation, label=label)
    write_derived(result.image, series, folder, derivation)


def derivation_of(translator: Translator, volume: Volume, created: datetime) -> Derivation:
    """What a file must say about how a translation was made.

    Args:
        translator: the model and its direction.
        volume: what is translated.
        created: time zone aware.
    """
    card = translator.model.card
    chosen = card.provenance.get("chosen") or {}
    step = chosen.get("step")
    resampled = is_resampled(volume, card.preparation)
    return Derivation(
        model_name=str(card.provenance.get("name") or f"{card.source} to {card.target}"),
        model_version="no version" if step is None else f"step {step}",
        weights_sha256=translator.model.sha256,
        description=in_words(card, translator.source, resampled=resampled),
        created=created,
        resampled=resampled,
    )


def is_resampled(volume: Volume, preparation: PreparationConfig) -> bool:
    """Whether the model's voxels are others than the volume's own."""
    own = Grid.of(reorient(volume, "RAS"))
    return not same_grid(own, grid_with_spacing(own, preparation.spacing_mm))


def in_words(card: ModelCard, source: str, *, resampled: bool) -> str:
    """What is done to a volume of a modality before and after the network, for people."""
    preparation = card.preparation
    low, high = preparation.window_hu
    window = f"{low:g} to {high:g} HU"
    percentile = f"0 to percentile {preparation.mr_percentile:g} in the body"
    spacing = " x ".join(f"{size:g}" for size in preparation.spacing_mm)
    scaled = f"MR {percentile}" if source == "MR" else f"CT {window}"
    made = f"CT {window}" if source == "MR" else f"MR 0 to {SYNTHETIC_MR_MAXIMUM:g}"
    parts = f"{', '.join(preparation.planes)} slices"
    if card.network.spatial_dims == 3:
        parts = f"patches of {' x '.join(map(str, preparation.patch))} voxels"
    steps = [
        "N4 bias correction" if preparation.n4 and source == "MR" else "",
        f"resampled to {spacing} mm and back" if resampled else f"voxels of {spacing} mm",
        f"{scaled} scaled to -1 to 1",
        parts,
        f"scaled back to {made}",
        f"air beyond {preparation.mask_margin_mm:g} mm outside the body",
    ]
    return "; ".join(filter(None, steps))
