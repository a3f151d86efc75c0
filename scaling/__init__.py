"""What the toolkit knows: records of runs, scaling laws, limits, the run store, errors.

    from scaling import laws, read_records

Each name is imported when it is first used, so that ``import scaling`` stays light.
"""

from typing import TYPE_CHECKING

from scaling.lazy import offer

if TYPE_CHECKING:
    from scaling import laws as laws
    from scaling.errors import CheckError as CheckError
    from scaling.errors import ConfigError as ConfigError
    from scaling.errors import CorpusError as CorpusError
    from scaling.errors import FitError as FitError
    from scaling.errors import ForecastError as ForecastError
    from scaling.errors import RecordError as RecordError
    from scaling.errors import ScalingError as ScalingError
    from scaling.errors import StoreError as StoreError
    from scaling.inputs.amounts import Price as Price
    from scaling.laws.registry import register_law as register_law
    from scaling.limits import Limit as Limit
    from scaling.limits import LimitCode as LimitCode
    from scaling.records import Records as Records
    from scaling.records import read_records as read_records
    from scaling.records import records_from_table as records_from_table
    from scaling.records import write_records as write_records
    from scaling.samples import read_samples as read_samples
    from scaling.simulate import grid_of_runs as grid_of_runs
    from scaling.simulate import isoflop_runs as isoflop_runs
    from scaling.simulate import simulate_records as simulate_records
    from scaling.sources import records_from as records_from
    from scaling.store.import_runs import import_records as import_records
    from scaling.store.run_store import RunStore as RunStore

_HOMES = {
    "": ("laws",),
    "scaling.inputs.amounts": ("Price",),
    "scaling.errors": (
        *("CheckError", "ConfigError", "CorpusError", "FitError", "ForecastError"),
        *("RecordError", "ScalingError", "StoreError"),
    ),
    "scaling.limits": ("Limit", "LimitCode"),
    "scaling.records": ("Records", "read_records", "records_from_table", "write_records"),
    "scaling.laws.registry": ("register_law",),
    "scaling.samples": ("read_samples",),
    "scaling.simulate": ("grid_of_runs", "isoflop_runs", "simulate_records"),
    "scaling.store.run_store": ("RunStore",),
    "scaling.sources": ("records_from",),
    "scaling.store.import_runs": ("import_records",),
}
__all__, __getattr__, __dir__ = offer("scaling", _HOMES)
