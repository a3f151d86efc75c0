"""Scaling laws: each a value that says all of itself; `LAWS` lists them by name.

    from scaling.laws import Chinchilla, LAWS

Each name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from scaling.lazy import offer

if TYPE_CHECKING:
    from scaling.laws.base import Law as Law
    from scaling.laws.conformance import check_law as check_law
    from scaling.laws.curves import M4 as M4
    from scaling.laws.curves import BrokenPowerLaw as BrokenPowerLaw
    from scaling.laws.curves import PowerLaw as PowerLaw
    from scaling.laws.curves import PurePowerLaw as PurePowerLaw
    from scaling.laws.curves import SaturatingPowerLaw as SaturatingPowerLaw
    from scaling.laws.curves import ShiftedPowerLaw as ShiftedPowerLaw
    from scaling.laws.curves import TwiceBrokenPowerLaw as TwiceBrokenPowerLaw
    from scaling.laws.farseer import Farseer as Farseer
    from scaling.laws.of_other_inputs.encoder_decoder import EncoderDecoderLaw as EncoderDecoderLaw
    from scaling.laws.of_other_inputs.experts import Experts as Experts
    from scaling.laws.of_other_inputs.experts import FineGrainedExperts as FineGrainedExperts
    from scaling.laws.of_other_inputs.learning_rate import (
        LearningRateAndBatch as LearningRateAndBatch,
    )
    from scaling.laws.of_other_inputs.mixtures import Mixture as Mixture
    from scaling.laws.of_other_inputs.parts_of_models import ParallelCopies as ParallelCopies
    from scaling.laws.of_other_inputs.parts_of_models import ShapeLaw as ShapeLaw
    from scaling.laws.of_other_inputs.parts_of_models import SparseWeights as SparseWeights
    from scaling.laws.of_other_inputs.parts_of_models import Vocabulary as Vocabulary
    from scaling.laws.registry import LAWS as LAWS
    from scaling.laws.registry import law_named as law_named
    from scaling.laws.registry import register_law as register_law
    from scaling.laws.surfaces import Chinchilla as Chinchilla
    from scaling.laws.surfaces import DataConstrained as DataConstrained
    from scaling.laws.surfaces import Overtraining as Overtraining
    from scaling.laws.surfaces import Skaling as Skaling
    from scaling.laws.written.formula import Formula as Formula
    from scaling.laws.written.formula import law_for as law_for
    from scaling.laws.written.law_file import read_laws as read_laws

_HOMES = {
    "scaling.laws.base": ("Law",),
    "scaling.laws.curves": (
        *("M4", "BrokenPowerLaw", "PowerLaw", "PurePowerLaw", "SaturatingPowerLaw"),
        *("ShiftedPowerLaw", "TwiceBrokenPowerLaw"),
    ),
    "scaling.laws.of_other_inputs.encoder_decoder": ("EncoderDecoderLaw",),
    "scaling.laws.of_other_inputs.experts": ("Experts", "FineGrainedExperts"),
    "scaling.laws.farseer": ("Farseer",),
    "scaling.laws.of_other_inputs.learning_rate": ("LearningRateAndBatch",),
    "scaling.laws.of_other_inputs.mixtures": ("Mixture",),
    "scaling.laws.of_other_inputs.parts_of_models": (
        *("ParallelCopies", "ShapeLaw", "SparseWeights", "Vocabulary"),
    ),
    "scaling.laws.written.formula": ("Formula", "law_for"),
    "scaling.laws.written.law_file": ("read_laws",),
    "scaling.laws.surfaces": (*("Chinchilla", "DataConstrained", "Overtraining", "Skaling"),),
    "scaling.laws.registry": ("LAWS", "law_named", "register_law"),
    "scaling.laws.conformance": ("check_law",),
}
__all__, __getattr__, __dir__ = offer("scaling.laws", _HOMES)
