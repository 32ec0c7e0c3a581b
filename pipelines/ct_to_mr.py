"""Measure CT to MR: the way back of the same training as mr_to_ct.py.

    MEDGAN_DATA=... python pipelines/ct_to_mr.py configs/mr_to_ct_head.yaml [key=value ...]

Everything lands in ``runs/<name>``; run again to resume, or to evaluate once more.
"""

import sys

from medgan.recipes.script import main

if __name__ == "__main__":
    sys.exit(main(__doc__, "backward"))
