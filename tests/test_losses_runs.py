"""What the trainers of loss networks share: recipes, logs and cards."""

from dataclasses import dataclass, field

import pytest

from vdp_distill.losses.runs import RunRecipe, check_positive, write_card, write_log


@dataclass(frozen=True)
class Network:
    kind: str = "toy"
    widths: tuple[int, ...] = (4, 8)


@dataclass(frozen=True)
class Training:
    steps: int = 10
    learning_rate: float = 1e-3

    def __post_init__(self):
        check_positive(self, ("steps", "learning_rate"))


@dataclass(frozen=True)
class Recipe(RunRecipe):
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)


def test_a_recipe_is_read_back(tmp_path):
    recipe = Recipe(Network(widths=(3,)), Training(steps=7))
    (tmp_path / "r.toml").write_text(recipe.text())
    assert Recipe.read(tmp_path / "r.toml") == recipe
    assert Recipe.read(recipe) is recipe
    (tmp_path / "empty.toml").write_text("")
    assert Recipe.read(tmp_path / "empty.toml") == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[netwrk]\nwidths = [4]", "has no place for 'netwrk'; did you mean 'network'"),
        ("[network]\nwidth = [4]", r"\[network\] has no key 'width'; did you mean 'widths'"),
        ("[training]\nsteps = 'many'", "steps must be like 10, got 'many'"),
        ("[training]\nlearning_rate = -1.0", r"\[training\]: learning_rate must be positive, got -1.0"),
    ],
)
def test_a_wrong_recipe(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        Recipe.read(tmp_path / "r.toml")


def test_a_log_keeps_its_columns_in_order(tmp_path):
    write_log(tmp_path, ("step", "loss"), [{"step": 1, "loss": 0.5}, {"loss": 0.25, "step": 2}])
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss", "1,0.5", "2,0.25"]


def test_a_card_names_its_weights(tmp_path):
    out = tmp_path / "toy-v1"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"weights")
    write_card(out, Recipe(), "# {name}\n\nError {error:.2f}.\n", error=0.126)
    card = (out / "README.md").read_text()
    # The hash is that of the seven letters, by sha256sum.
    digest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert card.startswith("# toy-v1\n\nError 0.13.\n") and "```toml\n[network]\n" in card
    assert f"`{digest}`" in card
