"""The shipped configs, with nothing in them that takes long before a plan exists."""

from sweeps.config.images import ImagesData
from sweeps.config.shipped import shipped_configs
from sweeps.config.sweep import SweepConfig
from sweeps.config.yaml_file import load_config

NAMES = tuple(shipped_configs())


def quick_to_plan(name: str) -> SweepConfig:
    """The shipped config of this name. Codes of images come from an autoencoder of a few steps:
    how good they are decides nothing about a plan. docs/how-to/train_on_images.md runs it whole."""
    config = load_config(name)
    if isinstance(config.data, ImagesData) and config.data.tokens == "codes":
        return config.changed(data={"autoencoder_steps": 5})
    return config
