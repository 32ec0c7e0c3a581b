"""medgan's readers as MONAI transforms, so that any MONAI pipeline can start from them.

Importing this module imports MONAI, which takes seconds; nothing else in medgan imports it.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys, SpaceKeys

from medgan.io import read_volume
from medgan.volumes import Modality


class LoadVolumed(MapTransform):
    """Read the file under each key into a channel-first MetaTensor.

    Unlike MONAI's readers it refuses files whose geometry is missing, contradictory or damaged.

    Args:
        keys: entries that hold paths.
        modality: of all of them; None: told from the values, as ``read_volume`` does.
        allow_missing_keys: skip keys that a sample does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        modality: Modality | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modality = modality

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace paths by (1, X, Y, Z) float32 MetaTensors with affine to RAS in mm.

        Raises:
            MedganError: a file cannot be read.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self._load(sample[key])
        return sample

    def _load(self, path: Any) -> MetaTensor:
        volume = read_volume(path, modality=self.modality)
        affine = torch.tensor(volume.affine, dtype=torch.float64)
        meta = {
            MetaKeys.ORIGINAL_AFFINE: affine.clone(),
            MetaKeys.SPATIAL_SHAPE: volume.shape,
            MetaKeys.SPACE: SpaceKeys.RAS,
            "filename_or_obj": str(path),
            "modality": volume.modality,
            "synthetic": volume.synthetic,
        }
        array = torch.tensor(volume.array.astype("float32"))
        return MetaTensor(array[None], affine=affine, meta=meta)
