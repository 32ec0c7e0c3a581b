"""Train methods on equal terms and compare them: one table, one page with pictures.

    python pipelines/compare_methods.py configs/compare_methods.yaml
    MEDGAN_DATA=... python pipelines/compare_methods.py configs/compare_methods_head.yaml

Everything lands in ``runs/<name>``: ``comparison.json``, ``report.html`` and the run folders; run
again to go on where it stopped.
"""

import sys

from medgan.recipes.comparison_script import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
