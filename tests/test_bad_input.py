"""Wrong images and settings are refused in words that say what came and what to do."""

import numpy as np
import pytest
import torch

from vdp_distill import HDRVDP2, Display, hdrvdp2, load_display

CODES = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
LIGHT = 1 + 100 * CODES
SRGB = {"encoding": "sRGB-display", "pixels_per_degree": 30}
ABSOLUTE = {"encoding": "rgb-bt.709", "pixels_per_degree": 30}


def spoiled(image: torch.Tensor, value: float) -> torch.Tensor:
    image = image.clone()
    image[0, 0, 3, 3] = value
    return image


REFUSED = {
    "different sizes": (CODES, CODES[..., :31], SRGB, ValueError, r"same shape, got \(1, 3, 32, 32\)"),
    "one channel": (CODES[:, :1], CODES[:, :1], SRGB, ValueError, "takes 3 channel.*luma-display"),
    "two channels": (CODES[:, :2], CODES[:, :2], SRGB, ValueError, "got 2"),
    "alpha": (CODES[:, [0, 1, 2, 0]], CODES[:, [0, 1, 2, 0]], SRGB, ValueError, "drop the alpha channel"),
    "colour as grey": (LIGHT, LIGHT, {**ABSOLUTE, "encoding": "luminance"}, ValueError, "takes 1 channel"),
    "NaN codes": (spoiled(CODES, float("nan")), CODES, SRGB, ValueError, "test must be finite, got 1 NaN"),
    "NaN light": (LIGHT, spoiled(LIGHT, float("nan")), ABSOLUTE, ValueError, "reference must be finite"),
    "infinite light": (spoiled(LIGHT, float("inf")), LIGHT, ABSOLUTE, ValueError, "must be finite"),
    "negative light": (spoiled(LIGHT, -0.3), LIGHT, ABSOLUTE, ValueError, "positive cd/m2, got min -0.3"),
    "8-bit values": (CODES * 255, CODES * 255, SRGB, ValueError, "divide 8-bit values by 255"),
    "codes a little over 1": (CODES * 1.05, CODES, SRGB, ValueError, "clamp it"),
    "codes as light": (CODES, CODES, ABSOLUTE, ValueError, "look like code values"),
    "8-bit codes as light": (
        (CODES * 99).round() / 255,
        (CODES * 99).round() / 255,
        ABSOLUTE,
        ValueError,
        "look like code",
    ),
    "integers": ((CODES * 255).byte(), CODES, SRGB, TypeError, "divide by 255"),
    "an array of integers": (np.zeros((32, 32, 3), np.uint8), CODES, SRGB, TypeError, "floating point, got uint8"),
    "a list": ([[0.5]], CODES, SRGB, TypeError, "must be a torch tensor"),
    "no batch axis": (CODES[0], CODES[0], SRGB, ValueError, r"add the batch axis"),
    "an empty batch": (CODES[:0], CODES[:0], SRGB, ValueError, "empty batch"),
    "two dtypes": (CODES.double(), CODES, SRGB, ValueError, "one dtype"),
    "two devices": (CODES.to("meta"), CODES, SRGB, ValueError, "on one device, got meta and cpu"),
    "16 pixels": (CODES[..., :16], CODES[..., :16], SRGB, ValueError, "at least 17 x 17"),
    "surround 0": (LIGHT, LIGHT, {**ABSOLUTE, "surround_l": 0}, ValueError, "surround_l must be positive"),
    "surround of two channels": (LIGHT, LIGHT, {**ABSOLUTE, "surround_l": [1, 2]}, ValueError, "one a channel"),
    "surround -1 and black": (LIGHT, spoiled(LIGHT, 0), {**ABSOLUTE, "surround_l": -1}, ValueError, "geometric mean"),
    "pixels per degree 0": (CODES, CODES, {**SRGB, "pixels_per_degree": 0}, ValueError, "must be positive"),
    "three pixels per degree": (CODES, CODES, {**SRGB, "pixels_per_degree": torch.ones(3)}, ValueError, "must be"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_do_not_fit_are_refused(name):
    test, reference, settings, error, message = REFUSED[name]
    if name == "three pixels per degree":
        test, reference = (image.expand(2, -1, -1, -1) for image in (test, reference))
    with pytest.raises(error, match=message):
        hdrvdp2(test, reference, **settings)


SETTINGS = {
    "nothing": ({"pixels_per_degree": 30}, ValueError, "never guessed"),
    "both": ({**SRGB, "display": "standard_4k"}, ValueError, "not both"),
    "no geometry": ({"encoding": "sRGB-display"}, ValueError, "pixels_per_degree is required"),
    "unknown encoding": ({**SRGB, "encoding": "sRGB"}, ValueError, "sRGB-display"),
    "unknown rgb_display": ({**SRGB, "rgb_display": "oled"}, ValueError, "crt, ccfl-lcd"),
    "unknown display": ({"display": "standard_4K"}, ValueError, "did you mean 'standard_4k'"),
    "unknown engine": ({**SRGB, "engine": "matlab"}, ValueError, "torch, octave, original"),
    "unknown option": ({**SRGB, "suround_l": 1}, TypeError, "did you mean 'surround_l'"),
    "generic without emission": ({**SRGB, "encoding": "generic"}, ValueError, "needs emission"),
    "emission of another shape": ({**ABSOLUTE, "emission": np.ones((2, 4))}, ValueError, r"\(3, 4\)"),
    "sensitivity": ({**SRGB, "peak_sensitivity": float("nan")}, ValueError, "finite"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_do_not_fit_are_refused(name):
    settings, error, message = SETTINGS[name]
    image = LIGHT if "rgb" in str(settings.get("encoding")) else CODES
    with pytest.raises(error, match=message):
        hdrvdp2(image, image, **settings)


def test_unknown_option_at_a_call_is_refused():
    metric = HDRVDP2(**SRGB)
    with pytest.raises(TypeError, match="unknown option 'ppd'"):
        metric(CODES, CODES, ppd=3)


def test_a_really_dark_scene_passes_when_said_so():
    result = hdrvdp2(CODES * 0.99 + 0.01, CODES * 0.99 + 0.01, check_values=False, **ABSOLUTE)
    assert float(result.P_det) == 0


def test_dark_scenes_that_do_not_look_like_codes_pass():
    night = 10 ** (-4 + 4 * CODES)
    assert float(hdrvdp2(night, night, **ABSOLUTE).P_det) == 0


def test_28_pixels_work():
    image = CODES[..., :28, :28]
    assert float(hdrvdp2((image + 0.1).clamp(0, 1), image, **SRGB).P_det) > 0.5


def test_display_files(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine", "max_luminence": 100}')
    with pytest.raises(ValueError, match="did you mean 'max_luminance'"):
        load_display(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="is not a JSON file"):
        load_display(path)
    path.write_text('{"a": {"max_luminance": 80, "contrast": 800}}')
    with pytest.raises(ValueError, match="name one"):
        load_display(path)
    assert load_display(f"{path}#a").black_cdm2 == pytest.approx(0.1)
    with pytest.raises(ValueError, match="holds no display 'b'"):
        load_display(f"{path}#b")


BAD_DISPLAYS = {
    "black over white": {"min_luminance": 200},
    "two blacks": {"min_luminance": 1, "contrast": 100},
    "colorspace": {"colorspace": "Display P4"},
    "reflection": {"k_refl": 2},
}


@pytest.mark.parametrize("name", BAD_DISPLAYS)
def test_impossible_displays_are_refused(name):
    with pytest.raises(ValueError):
        Display(**BAD_DISPLAYS[name])


def test_channels_last_are_told_from_small_images():
    image = torch.rand(1, 40, 40, 3)
    with pytest.raises(ValueError, match=r"got \(40, 3\); channels come before rows: image.permute"):
        hdrvdp2(image, image, encoding="sRGB-display", pixels_per_degree=30)
