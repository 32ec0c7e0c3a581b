"""Every metric, value and time, beside MONAI's, scikit-image's and scikit-learn's, as JSON.

Run as ``OMP_NUM_THREADS=1 python benchmarks/metrics.py``: paired metrics on one head (`paired`),
FID and KID (`distribution`) and LUNA16 FROC (`froc`), each of which also runs by itself. Some three
minutes, most of them MONAI's FID.
"""

import json

import distribution
import froc
import paired

if __name__ == "__main__":
    document = {
        "paired": paired.measure(spacing_mm=1.5),
        "distribution": {"speed": distribution.speed(), "bias": distribution.bias()},
        "detection": froc.measure(replicates=1000),
    }
    print(json.dumps(document, indent=2))
