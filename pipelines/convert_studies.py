"""Convert a tree of studies, as ``medgan convert`` does.

    python pipelines/convert_studies.py SRC DST --to nifti [--irregular resample] [--jobs 2] ...

``medgan convert --help`` lists the options. Run it again to resume.
"""

import sys

from medgan.cli.main import main

if __name__ == "__main__":
    main(["convert", *sys.argv[1:]])
