"""The model families there are, by the name that `model.family` gives."""

import difflib

from scaling.errors import ConfigError
from sweeps.models.decoder.family import DecoderFamily
from sweeps.models.encoder_decoder.family import EncoderDecoderFamily
from sweeps.models.family import Family
from sweeps.models.linear_lm.family import LinearFamily

_OWN: tuple[Family, ...] = (DecoderFamily(), EncoderDecoderFamily(), LinearFamily())

FAMILIES: dict[str, Family] = {family.name: family for family in _OWN}


def find_family(name: str) -> Family:
    """The family of this name; ConfigError names the nearest known one."""
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)[0]
        raise ConfigError(f'model.family is "{name}"; did you mean "{near}"?')
    return FAMILIES[name]
