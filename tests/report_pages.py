"""Pages of reports read back, and what is reported."""

from html.parser import HTMLParser

import numpy as np

from medgan.report.figures import Tile, panel
from medgan.report.html import write_report

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements of a page, with a check that every one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def noise_png():
    """A small figure, for places where any will do."""
    return panel([[Tile("noise", np.random.default_rng(0).random((8, 8)), (0, 1))]])


def written(tmp_path, report):
    write_report(tmp_path / "r.html", report)
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def evaluation(mae, mask_rule="given mask", floors=()):
    row = {"protocol": "synthrad2023", "range": [-1024, 3000], "unit": "HU", "mask_rule": mask_rule,
           "averaging": "3-D"}  # fmt: skip
    scored = {
        "cases": [{"case": "DOE", "mae": mae, "psnr": "inf", **row, "voxels": 5}],
        "aggregates": {"mae": {"mean": mae, "std": None}, "psnr": {"mean": "inf", "std": None}},
    }
    return {**row, **scored, **({"floors": dict.fromkeys(floors, scored)} if floors else {})}
