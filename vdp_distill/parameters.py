"""The fitted numbers of HDR-VDP 2.2, in one frozen dataclass, each with its unit and source.

Sources: [1] R. Mantiuk, K. J. Kim, A. G. Rempel, W. Heidrich, "HDR-VDP-2: a calibrated visual metric for
visibility and quality predictions in all luminance conditions", ACM Trans. Graph. 30(4), 2011.
Release 2.2.0 refitted several of them; where a number is the release's and not the paper's, the comment says so.
The quality correlate is that of release 2.2.1.
"""

from dataclasses import dataclass

__all__ = ["Parameters", "DEFAULT_PARAMETERS", "EMISSION_MATRICES"]

EMISSION_MATRICES = {
    "crt": (
        (0.19352143856780377, 0.045053209085706196, 0.00016653637014154318, 0.047073666175541741),
        (0.41422401076383991, 0.25627519596218484, 0.00088377060782488155, 0.53845476753339838),
        (0.050716636286267429, 0.045238019719997337, 0.0069836400286939927, 0.40041394231638844),
    ),
    "ccfl-lcd": (
        (0.19899612033792871, 0.041005860407588933, 6.1506308848643251e-05, 0.014377368621119191),
        (0.40476260703812544, 0.25492330644134564, 0.00069591745133302661, 0.48092084108413191),
        (0.054390619255321161, 0.050012248959300676, 0.0070375678953706862, 0.45427589566935994),
    ),
    "led-lcd": (
        (0.1787174708325443, 0.04729528934232731, 0.00026744637869722664, 0.068868273216871098),
        (0.44171841764736336, 0.26495293150301868, 0.00097224149034442348, 0.58443920930196402),
        (0.037298983813337794, 0.034067516210767063, 0.0062149545925374514, 0.33097358677530136),
    ),
    "D65": ((0.60184715224469898, 0.31670829557916946, 0.0076648121695664373, 0.90467065459950324),),
}
"""Rows: the light channels (R, G, B, or the one grey channel). Columns: L, M, S cones and rods.

Each number is the integral of a receptor's sensitivity times a channel's emission ([1], section 4.2), per cd/m2,
with the emission spectra that release 2.2 measured for these displays.
"""


@dataclass(frozen=True)
class Parameters:
    """Every fitted number of the metric.

    Examples
    --------
    >>> from dataclasses import replace
    >>> keener = replace(Parameters(), psychometric_slope=4.0)
    """

    # Light scatter: weights (fractions of the light) and decay rates (degrees), release 2.2 refit of [1] eq. 1.
    mtf_main_weight: float = 0.99727370023777070
    mtf_veil_weight: float = 0.061466549455263
    mtf_split: tuple[float, float] = (0.426, 0.574)
    mtf_decay_deg: tuple[float, float, float, float] = (0.028, 0.37, 37.0, 360.0)
    light_range_cdm2: tuple[float, float] = (1e-5, 1e10)  # clamp after the scatter

    # Photoreceptor sensitivity: [1] section 4.3, equations 6 to 9, refitted in release 2.2.
    cone_sensitivity: tuple[float, float, float, float] = (30.162, 4.0627, 1.6596, 0.2712)
    rod_log10_peak: float = 1.1414
    rod_peak_luminance_cdm2: float = 1.1732
    rod_bright_power: float = 2.9899
    rod_bright_width: float = 0.5547
    rod_dark_power: float = 1.2167
    rod_dark_width: float = 1.1478
    least_cone_sensitivity: float = 1e-3
    jnd_scale: float = 0.006894596  # JND units per unit of sensitivity, before 10^peak_sensitivity
    lut_log10_range: tuple[float, float] = (-5.0, 5.0)
    lut_nodes: int = 2048

    # Neural contrast sensitivity: [1] table 1 (refit of release 2.2); rows are luminances in cd/m2.
    csf_luminance_cdm2: tuple[float, ...] = (0.002, 0.02, 0.2, 2.0, 20.0, 150.0)
    csf_p1: tuple[float, ...] = (0.991265, 0.800889, 0.476505, 0.405782, 0.334278, 0.394533)
    csf_p2: tuple[float, ...] = (3.74038, 3.54104, 4.37453, 4.40602, 3.79542, 2.7755)
    csf_p3: tuple[float, ...] = (0.50722, 0.682505, 0.750315, 0.935314, 1.07327, 1.16577)
    csf_p4: tuple[float, ...] = (4.46044, 4.94958, 5.28678, 5.61425, 6.4635, 7.45665)
    csf_low_cut_cpd: float = 7.0
    csf_nodes: int = 256
    base_band_ppd_factor: float = 2.0 * 2.0**0.5  # pixels per degree of the base band, over its frequency

    # Contrast masking: [1] section 5.2; release 2.2 keeps the logarithms.
    log10_mask_p: float = 0.544068
    log10_mask_q: float = 0.49576
    log10_mask_self: float = 0.189065
    log10_mask_cross_orientation: float = 0.449199
    log10_mask_neighbour_band: float = 1.52512

    # Detection: [1] section 5.3.
    psychometric_slope: float = 3.5
    pooling_epsilon: float = 1e-12

    # Quality correlate: release 2.2.1 (replaces [1] section 6.2).
    quality_frequency_cpd: tuple[float, ...] = (60, 30, 15, 7.5, 3.75, 1.875, 0.9375, 0.4688, 0.2344, 0.1172)
    quality_weight: tuple[float, ...] = (0, 0.2832, 0.2832, 0.2142, 0.2690, 0.0398, 0.0003, 0.0003, 0, 0)
    quality_least_difference: float = 0.001  # relative difference of light that counts as changed
    quality_epsilon: float = 1e-12

    @property
    def mtf_weight(self) -> tuple[float, float, float, float]:
        """Weights of the four exponentials of the eye's MTF; they sum to 1."""
        main, veil = self.mtf_main_weight, self.mtf_veil_weight
        return (
            self.mtf_split[0] * main,
            self.mtf_split[1] * main,
            veil * (1 - main),
            (1 - main) * (1 - veil),
        )

    @property
    def mask_p(self) -> float:
        """Exponent of the excitation."""
        return 10**self.log10_mask_p

    @property
    def mask_q(self) -> float:
        """Exponent of the masking signal."""
        return 10**self.log10_mask_q


DEFAULT_PARAMETERS = Parameters()
"""HDR-VDP 2.2 as released."""
