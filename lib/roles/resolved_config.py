"""The configuration that a run leaves in its folder."""

from lib.config.dump import to_yaml
from lib.config.schema import Config
from lib.models.registry import model_spec


def resolved_config(config: Config) -> str:
    """Return YAML that ``--config`` reads back, with a comment at every key that the network's recipe sets."""
    recipe = model_spec(config.model.name).recipe
    images = config.images_per_update
    heading = f"# The recipe of {config.model.name}: {recipe.source}, for {recipe.describe_images(images)}.\n"
    return heading + to_yaml(config, recipe.settings(images))
