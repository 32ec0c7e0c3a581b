"""Train MR to CT on unpaired scans and measure it on registered pairs.

    MEDGAN_DATA=... python pipelines/mr_to_ct.py configs/mr_to_ct_head.yaml [key=value ...]

Everything lands in ``runs/<name>``; run again to resume, or to evaluate once more.
"""

import sys

from medgan.recipes.script import main

if __name__ == "__main__":
    sys.exit(main(__doc__, "forward"))
