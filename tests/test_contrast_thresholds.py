"""Contrast thresholds: which rows are kept, what is drawn, and that the search finds the threshold."""

import csv

import numpy as np
import pytest
import torch

from vdp_distill import hdrvdp2
from vdp_distill.contrast_stimuli import Stimulus, draw, find_contrasts, sampling_ppd
from vdp_distill.contrast_thresholds import COLUMNS, ContrastThresholds

ROW = {
    "dataset": "made",
    "stimulus": "gabor",
    "luminance": "20",
    "s_frequency": "4",
    "t_frequency": "0",
    "eccentricity": "0",
    "orientation": "0",
    "ge_sigma": "0.5",
    "area": "0.785",
    "col_dir_id": "1",
    "sensitivity": "100",
    "var_log_cone_contrast": "0.01",
}
OTHERS = {
    "flickers": {"t_frequency": "8"},
    "beside the fovea": {"eccentricity": "5"},
    "cannot be drawn": {"sensitivity": "0.5"},
    "neither": {"stimulus": "disk", "s_frequency": "0"},
}


def write_table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_are_kept_or_left_out_with_a_reason(tmp_path):
    rows = [ROW, *({**ROW, **other} for other in OTHERS.values())]
    rows += [{**ROW, "dataset": "coloured", "col_dir_id": str(number)} for number in (1, 2)]
    table = ContrastThresholds(write_table(tmp_path / "t.csv", rows))
    assert len(table.stimuli) == 1
    only = table.stimuli[0]
    assert (only.luminance_cdm2, only.frequency_cpd, only.sigma_deg, only.sensitivity) == (20, 4, 0.5, 100)
    assert only.log10_error == pytest.approx(0.1)
    reasons = {reason for name, reason in table.left_out if name == "made"}
    assert len(reasons) == len(OTHERS) and all(any(word in reason for reason in reasons) for word in OTHERS)
    assert [count for (name, _), count in table.left_out.items() if name == "coloured"] == [2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([{**ROW, "t_frequency": "9"}], "holds no achromatic, static, foveal row"), ([], "needs rows with the columns")],
)
def test_tables_that_do_not_fit(rows, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ContrastThresholds(write_table(tmp_path / "t.csv", rows))


def test_a_missing_table_or_column(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table of thresholds"):
        ContrastThresholds(tmp_path / "none.csv")
    (tmp_path / "t.csv").write_text("dataset,stimulus\nmade,gabor\n")
    with pytest.raises(ValueError, match="missing: luminance"):
        ContrastThresholds(tmp_path / "t.csv")


@pytest.mark.parametrize("shape", ["gabor", "grating"])
@pytest.mark.parametrize("orientation", [0.0, 90.0])
def test_what_is_drawn_has_the_frequency_size_and_light_asked_for(shape, orientation):
    stimulus = Stimulus("made", shape, 20.0, 2.0, 0.7, 1.5**2, orientation, 100.0, float("nan"))
    ppd = sampling_ppd(stimulus)
    light = draw([stimulus], [0.25], side=180)[0, 0].double()
    assert float(light.max()) == pytest.approx(25, rel=1e-6) and float(light.min()) > 15 - 1e-6
    modulation = (light / 20 - 1).numpy()
    modulation = modulation if orientation == 0 else modulation.T
    spectrum = np.abs(np.fft.rfft(modulation.sum(axis=0)))
    assert np.argmax(spectrum) / 180 * ppd == pytest.approx(2, abs=ppd / 180)  # one bin of the transform
    across = np.arange(180) - 90
    profile = np.abs(modulation[:, 90])  # along the bars: the window alone
    width = np.sqrt((profile * across**2).sum() / profile.sum()) / ppd
    expected = 0.7 if shape == "gabor" else 1.5 / np.sqrt(12)  # standard deviation of a normal, of a uniform
    assert width == pytest.approx(expected, rel=0.02)  # 30 pixels a degree, and the canvas cuts the Gaussian's tails


@pytest.mark.parametrize("slope", [1.0, 3.5, 12.0])
def test_the_search_finds_thresholds_that_are_known(slope):
    """Made-up metrics, one as steep as the search expects, one flatter and one so steep that it overshoots."""
    stimuli = [Stimulus("made", "gabor", 20.0, 2.0, 0.5, 1.0, 0.0, s, float("nan")) for s in (3.0, 30.0, 900.0)]

    def predict(test, reference, ppd, surround):
        return ((test / reference - 1).amax(dim=(1, 2, 3)) / 0.05) ** slope

    found = find_contrasts(stimuli, predict, side=32)
    # Twice the tolerance, which is of the threshold seen through a slope of 3.5: a flatter metric may be off by more.
    np.testing.assert_allclose(np.log10(found), np.log10(0.05), atol=4e-3 * max(1, 3.5 / slope))


def test_what_is_never_seen_has_contrast_1():
    stimuli = [Stimulus("made", "gabor", 20.0, 2.0, 0.5, 1.0, 0.0, 50.0, float("nan"))]
    found = find_contrasts(stimuli, lambda test, *_: torch.full((len(test),), 1e-4), side=32)
    assert found.tolist() == [1.0]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    rows = [
        {**ROW, "sensitivity": "150"},
        {**ROW, "s_frequency": "12", "sensitivity": "60"},
        {**ROW, "luminance": "0.02", "sensitivity": "5"},
    ]
    table = ContrastThresholds(write_table(tmp_path_factory.mktemp("csf") / "t.csv", rows))
    return table, table.sensitivities(side=96)


def test_the_metric_sees_half_of_the_time_there(measured):
    table, sensitivities = measured
    ppd = torch.tensor([sampling_ppd(stimulus) for stimulus in table.stimuli])
    surround = torch.tensor([stimulus.luminance_cdm2 for stimulus in table.stimuli])
    images = [draw(table.stimuli, contrast, 96) for contrast in (1 / sensitivities, 0 * sensitivities)]
    P_det = hdrvdp2(*images, encoding="luminance", pixels_per_degree=ppd, surround_l=surround).P_det
    # 2e-3 in log10 of contrast is a factor of 10^(2e-3 * 3.5) in C_max, and 0.006 in P; twice that
    np.testing.assert_allclose(P_det.numpy(), 0.5, atol=0.012)


def test_sensitivity_falls_with_frequency_and_darkness(measured):
    peak, fine, dark = measured[1]
    assert peak > fine > 1 and peak > 5 * dark
    # People's peak sensitivity at 20 cd/m2 is about a hundred to three hundred (Mantiuk et al. 2011, figure 7).
    assert 50 < peak < 500


def test_errors_are_counted_in_log10(measured):
    table, _ = measured
    people = np.array([stimulus.sensitivity for stimulus in table.stimuli])
    rows = table.errors(people * 10**0.2)
    assert [row["data_set"] for row in rows] == ["made", "all"]
    assert rows[0]["rmse"] == pytest.approx(0.2) and rows[0]["shift"] == pytest.approx(0.2)
    assert rows[0]["rmse_own_shift"] == pytest.approx(0, abs=1e-12)
