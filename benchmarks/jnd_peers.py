"""What other metrics say of the pairs of a set of judgements: PSNR, MS-SSIM, ColorVideoVDP, exact HDR-VDP."""

from collections.abc import Callable

import torch
from torch import Tensor

from vdp_distill import HDRVDP2
from vdp_distill.human_data import SyntheticObservers
from vdp_distill.judgements import HumanData

__all__ = ["PEERS", "scores"]


def psnr(data: HumanData) -> Callable[[Tensor, Tensor], float]:
    """Of the code values, dB."""
    return lambda test, reference: float(-10 * (test - reference).square().mean().clamp(min=1e-12).log10())


def ms_ssim(data: HumanData) -> Callable[[Tensor, Tensor], float]:
    """Of the code values."""
    from pytorch_msssim import ms_ssim

    return lambda test, reference: float(ms_ssim(test, reference, data_range=1.0))


def cvvdp(data: HumanData) -> Callable[[Tensor, Tensor], float]:
    """Quality in JOD, on the same display."""
    import pycvvdp

    display = data.viewing.display
    photometry = pycvvdp.vvdp_display_photo_eotf(
        Y_peak=display.max_luminance, contrast=display.max_luminance / display.black_cdm2, EOTF="2.2", E_ambient=0
    )
    geometry = pycvvdp.vvdp_display_geometry([1920, 1080], ppd=data.pixels_per_degree())
    device = torch.device("cpu")
    metric = pycvvdp.cvvdp(display_photometry=photometry, display_geometry=geometry, quiet=True, device=device)
    return lambda test, reference: float(metric.predict(test, reference, dim_order="BCHW")[0])


PEERS = {"PSNR": psnr, "MS-SSIM": ms_ssim, "ColorVideoVDP": cvvdp}
"""By name: from a set to a function that scores a pair."""


@torch.no_grad()
def scores(data: HumanData) -> dict[str, list[float]]:
    """Every metric's score of every pair, and exact HDR-VDP's C_max; NaN where a metric gives none or is missing."""
    makers, found = {}, {name: [] for name in (*PEERS, "C_max")}
    for name, maker in PEERS.items():
        try:
            makers[name] = maker(data)
        except ImportError as error:
            print(f"{name}: {error}")
    metric = HDRVDP2(display=data.viewing.display, pixels_per_degree=data.pixels_per_degree())
    for index, row in enumerate(data.judgements):
        pair = data.pair(index)
        for name in PEERS:
            found[name].append(makers[name](*pair) if name in makers else float("nan"))
        known = data.contrast[row.source][row.level] if isinstance(data, SyntheticObservers) else None
        found["C_max"].append(float(metric(*pair).C_max) if known is None else known)
    return found
