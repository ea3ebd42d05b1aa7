"""What does a heat map say that the eye has trouble finding? Makes the README's picture from a bundled photograph.

python -m benchmarks.readme_picture
"""

import io

import imageio.v3 as imageio
import numpy as np
from PIL import Image
from skimage import data

from benchmarks.machine import RESULTS
from vdp_distill import hdrvdp2
from vdp_distill.visualize import heatmap

JPEG_QUALITY = 80
PIXELS_PER_DEGREE = 60


def main() -> None:
    """Reference, test and heat map side by side."""
    reference = data.coffee()
    packed = io.BytesIO()
    Image.fromarray(reference).save(packed, "JPEG", quality=JPEG_QUALITY)
    test = np.asarray(Image.open(packed))
    images = (image / 255 for image in (test, reference))
    result = hdrvdp2(*images, encoding="sRGB-display", pixels_per_degree=PIXELS_PER_DEGREE)
    seen = heatmap(result.P_map, reference / 255)
    height = max(seen.shape[0], reference.shape[0])
    panels = [
        np.pad(p, ((0, height - p.shape[0]), (0, 8), (0, 0)), constant_values=255) for p in (reference, test, seen)
    ]
    path = RESULTS / "heatmap.png"
    imageio.imwrite(path, np.hstack(panels)[:, :-8])
    print(f"wrote {path}: P_det {result.P_det:.3f}, C_max {result.C_max:.3g}, Q {result.Q:.2f}")


if __name__ == "__main__":
    main()
