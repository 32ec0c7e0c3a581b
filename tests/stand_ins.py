"""Pictures that stand in for horses and zebras."""

import numpy as np
from PIL import Image

SIDE, TEST = 32, 20


def stand_in(rng, *, striped):
    """An ellipse on noise, (rows, columns, 3): orange with stripes, or plain and brown."""
    rows, columns = int(rng.integers(36, 48)), int(rng.integers(36, 48))
    y, x = np.indices((rows, columns))
    centre = rng.uniform(0.4, 0.6, 2) * (rows, columns)
    inside = ((y - centre[0]) / (0.3 * rows)) ** 2 + ((x - centre[1]) / (0.35 * columns)) ** 2 < 1
    colour = np.array([220, 120, 30] if striped else [110, 70, 40])
    body = np.broadcast_to(colour, (rows, columns, 3)).copy()
    if striped:
        body[(x // 3) % 2 == 0] = 240
    noise = rng.integers(0, 120, (rows, columns, 3))
    return np.where(inside[..., None], body, noise).astype(np.uint8)


def write_stand_ins(root):
    """trainA, trainB, testA and testB: plain and striped, PNG and JPEG."""
    for number, (part, count) in enumerate((("train", 10), ("test", TEST))):
        for domain in "AB":
            (root / f"{part}{domain}").mkdir()
            for index in range(count):
                rng = np.random.default_rng([number, ord(domain), index])
                picture = Image.fromarray(stand_in(rng, striped=domain == "B"))
                suffix = "png" if index % 2 else "jpg"
                picture.save(root / f"{part}{domain}" / f"{domain}{index:02}.{suffix}")
    return root
