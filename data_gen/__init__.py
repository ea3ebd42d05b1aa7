"""The data generator: recipes, scenes, distortions, viewing conditions; runs on one machine or a cluster."""

from data_gen.reading import load_recipe, recipe_names
from data_gen.recipe import Recipe
from data_gen.run import Summary, generate

__all__ = ["Recipe", "Summary", "generate", "load_recipe", "recipe_names"]
