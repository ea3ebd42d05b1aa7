"""Samples that pass a restorer: its output is what the metric is asked about, as the restorer is at that moment."""

import pytest
import torch

from vdp_distill import HDRVDP2, distill, zoo
from vdp_distill.example_pairs import photograph_pairs
from vdp_distill.receptors import display_matrix
from vdp_distill.surrogates.cortex import CortexConfig
from vdp_distill.training.on_policy import OnPolicy, OnPolicySets
from vdp_distill.training.recipe import Recipe, Training

PPD = 30.0


class Samples(torch.utils.data.Dataset):
    """Photographs with noise, and answers that nobody gave."""

    def __init__(self):
        self.pairs = [[100 * image[0] + 1 for image in pair] for pair in photograph_pairs(64, 64, count=8)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        test, reference = self.pairs[number]
        wrong = {name: torch.tensor(-1.0) for name in ("sum_S", "P_det", "Q")} | {"P_map": -torch.ones(1, 64, 64)}
        viewing = {
            "conditions/pixels_per_degree": torch.tensor(PPD),
            "conditions/surround_cdm2": torch.full((3,), 10.0),
            "conditions/emission": torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32),
        }
        lights = {"light/test": test, "light/reference": reference}
        return lights | viewing | wrong | {"samples/index": torch.tensor(number)}


def brighter(light):
    return 1.1 * light


def test_the_metric_answers_to_what_the_restorer_made():
    found = OnPolicy(Samples(), brighter, share=1.0)[3]
    plain = Samples()[3]
    assert torch.allclose(found["light/test"], 1.1 * plain["light/test"])
    metric = HDRVDP2(encoding="rgb-bt.709", pixels_per_degree=PPD, surround_l=10.0)
    with torch.no_grad():
        exact = metric(found["light/test"][None], plain["light/reference"][None])
    # The same metric; only C_max's pooling and the sum of S differ, by float32's rounding.
    assert torch.allclose(found["sum_S"], exact.C_max[0], rtol=1e-4)
    assert torch.allclose(found["P_map"], exact.P_map[0], atol=1e-5)
    assert torch.allclose(found["Q"], exact.Q[0], atol=1e-3)


def test_a_restorer_that_has_learnt_gives_other_pairs():
    gain = torch.nn.Parameter(torch.tensor(1.0))
    samples = OnPolicy(Samples(), lambda light: gain * light, share=1.0)
    before = samples[0]["sum_S"]
    gain.data.fill_(1.5)
    assert samples[0]["sum_S"] > before and not samples[0]["light/test"].requires_grad


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_so_many_pass_the_restorer(share):
    samples = OnPolicy(Samples(), brighter, share=share)
    passed = sum(samples.is_renewed(number) for number in range(970))
    assert abs(passed / 970 - share) < 0.02


def test_a_training_on_policy(tmp_path):
    good = OnPolicy(Samples(), brighter, share=1.0)
    sets = OnPolicySets({"train": Samples(), "val": good}, brighter, share=1.0)
    recipe = Recipe(CortexConfig(kind="fast"), Training(images_per_batch=4, steps=1, accelerator="cpu"))
    distill.train(recipe, sets, tmp_path / "run", progress=False)
    assert zoo.load_network(tmp_path / "run").config == CortexConfig(kind="fast")


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="share must be over 0 and at most 1, got 0"):
        OnPolicy(Samples(), brighter, share=0)
    with pytest.raises(ValueError, match=r"restore\(\) must keep the shape \(1, 3, 64, 64\), gave \(1, 1, 64, 64\)"):
        OnPolicy(Samples(), lambda light: light[:, :1], share=1.0)[0]
    with pytest.raises(ValueError, match="must hold light/test"):
        OnPolicy([{"sum_S": torch.tensor(1.0)}], brighter)


def test_order_and_origin_are_those_of_what_it_wraps():
    samples = Samples()
    samples.in_order, samples.origin = True, "recipe 'own'"
    wrapped = OnPolicy(samples, brighter)
    assert (wrapped.in_order, wrapped.origin) == (True, "recipe 'own'")
    assert (OnPolicy(Samples(), brighter).in_order, OnPolicy(Samples(), brighter).origin) == (False, "")


def test_other_processes_would_have_an_old_restorer(tmp_path):
    sets = OnPolicySets({"train": Samples(), "val": Samples()}, brighter)
    recipe = Recipe(CortexConfig(kind="fast"), Training(images_per_batch=4, steps=1, loader_processes=1))
    with pytest.raises(ValueError, match="loader_processes must be 0 on policy"):
        distill.train(recipe, sets, tmp_path / "run", progress=False)
