"""Facts about runs on several devices: they are the same runs."""

import dataclasses

import pytest

from scaling.errors import ConfigError
from sweeps.data.corpus import load_corpus
from sweeps.distributed import SharedTraining, other_ranks
from sweeps.packing import Pack
from sweeps.plan import plan_sweep
from sweeps.training import train_pack, train_run


@pytest.mark.slow  # the other rank imports torch and Lightning
def test_two_processes_train_what_one_does(tiny_config):
    load_corpus.cache_clear()
    run = plan_sweep(tiny_config).runs[-1]
    corpus = load_corpus(tiny_config.data, 32)
    alone = train_run(run, corpus, tiny_config.launch)
    launch = dataclasses.replace(tiny_config.launch, devices=2)
    pack = Pack(replicas=((run,),))
    shared = SharedTraining(
        pack=pack, data=tiny_config.data, launch=launch, done=frozenset(), folder=None
    )
    with other_ranks(shared):
        trained = train_pack(pack, corpus, launch)[run]
    for one, other in zip(alone.points, trained.points, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-3)  # float32 sums in another order
    assert trained.loss == pytest.approx(alone.loss, rel=1e-3)


def test_a_batch_that_does_not_split_over_the_devices_is_refused(tiny_config):
    load_corpus.cache_clear()
    run = plan_sweep(tiny_config).runs[-1]
    corpus = load_corpus(tiny_config.data, 32)
    launch = dataclasses.replace(tiny_config.launch, devices=3)
    with pytest.raises(ConfigError, match="do not split over launch.devices 3"):
        train_run(run, corpus, launch)
