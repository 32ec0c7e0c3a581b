"""Translate between two kinds of pictures, unpaired, and measure FID and KID both ways.

    python pipelines/horse2zebra.py datasets/horse2zebra
    python pipelines/horse2zebra.py datasets/apple2orange --config configs/apple2orange.yaml
    python pipelines/horse2zebra.py mine --out runs/mine training.steps=4000 network.width=32

The folder holds trainA, trainB, testA and testB with PNG or JPEG files, at least 20 in each of the
test folders. Everything lands in ``runs/<name>``; run again to resume, or to measure once more.
"""

import sys
from pathlib import Path

from medgan.recipes.picture_script import main

CONFIG = Path(__file__).parents[1] / "configs" / "horse2zebra.yaml"

if __name__ == "__main__":
    sys.exit(main(__doc__, CONFIG))
