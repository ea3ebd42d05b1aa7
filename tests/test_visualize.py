"""Heat maps say what the probability is; figures come out whole."""

import numpy as np
import pytest
import torch

from vdp_distill.visualize import PALETTES, contact_sheet, heatmap, histograms, plot_curve, to_picture


@pytest.mark.parametrize("palette", list(PALETTES))
def test_the_colour_tells_the_probability(palette):
    """On a plain context every probability has its own colour, and steps of 5 % can be told apart."""
    ramp = np.linspace(0, 1, 21)[None].repeat(4, 0)
    picture = heatmap(ramp, None, palette, legend=False)[0].astype(int)
    distance = np.abs(picture[:, None] - picture[None]).sum(axis=2)
    assert distance[~np.eye(21, dtype=bool)].min() >= 6


def test_the_safe_palette_rises_in_lightness():
    ramp = np.linspace(0, 1, 50)[None].repeat(4, 0)
    lightness = heatmap(ramp, None, "safe", legend=False)[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -0.5).all() and lightness[-1] > 2 * lightness[0]


def test_tensor_and_array_give_the_same_picture_with_a_legend_under_it():
    P_map, image = torch.rand(1, 1, 40, 300), torch.rand(1, 3, 40, 300)
    from_tensor = heatmap(P_map, image)
    from_array = heatmap(P_map[0, 0].numpy(), image[0].numpy().transpose(1, 2, 0))
    np.testing.assert_array_equal(from_tensor, from_array)
    assert from_tensor.dtype == np.uint8 and from_tensor.shape[0] > 40 and from_tensor.shape[1:] == (300, 3)


def test_light_becomes_a_picture():
    picture = to_picture(torch.logspace(-4, 4, 100).view(1, 10, 10))
    assert picture.shape == (10, 10, 3) and picture.min() == 0 and picture.max() == 1


@pytest.mark.parametrize(
    "P_map, image, palette, words",
    [
        (np.full((8, 8), 2.0), None, "safe", "0..1"),
        (np.zeros((8, 8)), np.zeros((9, 8)), "safe", "one size"),
        (np.zeros((8, 8)), None, "rainbow", "trichromatic, safe"),
        (np.zeros((2, 8, 8)), None, "safe", "one image"),
        (np.full((8, 8), np.nan), None, "safe", "0..1"),
    ],
)
def test_bad_input_is_named(P_map, image, palette, words):
    with pytest.raises(ValueError, match=words):
        heatmap(P_map, image, palette)


def test_sheets_and_histograms_come_out(tmp_path):
    row = {"label": "one", "picture": torch.rand(3, 20, 20), "map": np.eye(20)}
    assert contact_sheet([row, row], ["picture", "map"]).ndim == 3
    columns = {
        "numbers": np.arange(1, 9.0),
        "same": np.ones(4),
        "none": np.array([np.nan]),
        "words": np.array(["a", "b"]),
    }
    assert histograms(columns, logarithmic=["numbers"]).shape[2] == 3
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], ["picture"])


def test_curves_from_a_log(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,train,validation\n1,3.0,\n2,2.0,2.5\n3,1.5,\n", encoding="utf-8")
    plot_curve(log, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    log.write_text("step,train\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no rows"):
        plot_curve(log, tmp_path / "curve.png")
    with pytest.raises(FileNotFoundError, match="nothing.csv"):
        plot_curve(tmp_path / "nothing.csv", tmp_path / "curve.png")


def test_codes_of_8_bits_are_codes():
    codes = np.array([[10, 128, 245]], np.uint8)
    np.testing.assert_allclose(to_picture(codes)[0, :, 0], codes[0] / 255)
