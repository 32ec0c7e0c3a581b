"""Measure whether synthetic nodules help a detector: one report with a verdict for every arm.

    python pipelines/luna16_augmentation.py configs/luna16_phantom.yaml --jobs 2
    python pipelines/luna16_augmentation.py mine.yaml bootstrap=2000 --out runs/mine --only real

Everything lands in ``runs/<name>``: scans, ``experiment.json``, ``report.html``, and a folder for
each training with its marks, which ``medgan froc`` reads. Run it again to go on where it stopped.
"""

import sys

from medgan.recipes.augmentation_script import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
