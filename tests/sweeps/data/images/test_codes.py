"""Facts about images as codes: what an autoencoder is trained on and by, how it is kept, and whose
losses its are."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from analysis import fit_law
from scaling.errors import ConfigError, CorpusError, RecordError
from scaling.records import records_from_table
from sweeps.checks.codebook import check_codebook
from sweeps.config.images import ImagesData
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.images import autoencoder
from sweeps.data.images.autoencoder import Autoencoder, train_autoencoder
from sweeps.data.images.decoding import levels_of, pixels_of
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.vocabulary import vocabulary_from
from sweeps.planning.plan import plan_sweep

QUICK = ImagesData(codebook=16, autoencoder_steps=40)


@pytest.fixture(autouse=True, scope="module")
def a_state_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("SCALING_STATE_DIR", str(folder))
        yield folder


def load(config=QUICK, context=16):
    return load_corpus.__wrapped__(config, context)


@pytest.fixture(scope="module")
def digits(a_state_of_its_own):
    return load()


def test_an_image_is_a_grid_of_codes_behind_its_label(digits):
    assert digits.train.shape[1] == 17
    assert digits.train[:, 1:].max() < 16 <= digits.train[:, 0].min()
    assert digits.validation.weights.sum() == 16 * 270
    facts = digits.facts
    assert facts.codebook_perplexity <= 16 * facts.codebook_use <= 16
    assert 0 < facts.reconstruction_error < 0.9  # after 40 steps; of the pixels' mean it is 1
    first, second = digits.notes[1:]
    assert first.startswith("autoencoder ")
    assert "once for all runs, no part of theirs; it has been trained now" in first
    assert "perplexity" in second


def test_codes_decode_to_the_images_within_the_error_that_is_stated(digits):
    grey = load_corpus(ImagesData(tokens="grey"), 64)
    original = grey.held_back[:, 1:].reshape(-1, 8, 8)
    decoded = levels_of(digits.vocabulary, digits.held_back[:, 1:])
    lost = ((decoded.astype(float) - original) ** 2).mean() / original.var()
    # levels are rounded, which adds a twelfth of a squared level
    assert lost == pytest.approx(digits.facts.reconstruction_error, abs=0.02)
    shown = pixels_of(grey.vocabulary, grey.held_back[:1, 1:])
    assert shown.min() < 64 < 192 < shown.max() == 255  # ink is dark, and paper white


def test_the_second_plan_finds_the_autoencoder_of_the_first(digits, monkeypatch):
    monkeypatch.setattr("sweeps.data.images.codes.train_autoencoder", None)  # nobody trains
    again = load()
    assert again.facts == digits.facts
    assert np.array_equal(again.train, digits.train)
    assert "it was trained before" in again.notes[1]


def test_training_is_a_function_of_images_and_seed_and_disturbs_nobody():
    images = torch.rand(64, 4, 4, generator=torch.Generator().manual_seed(1))
    made, threads = [], torch.get_num_threads()
    for seed, disturbed in ((0, 5), (0, 7), (1, 5)):
        torch.manual_seed(disturbed)
        expected = torch.rand(3)
        torch.manual_seed(disturbed)
        made.append(train_autoencoder(images, codebook=4, patch=2, steps=30, seed=seed))
        assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    weights = [torch.cat([part.flatten() for part in one.model.parameters()]) for one in made]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert made[0].flops > 0


def test_a_damaged_autoencoder_is_trained_again(digits, a_state_of_its_own):
    (path,) = (a_state_of_its_own / "autoencoders").glob("*.safetensors")
    whole = path.read_bytes()
    for damaged in (whole[:500], b"", whole[:-3] + b"abc"):
        path.write_bytes(damaged)
        again = load()
        assert "has been trained now" in again.notes[1]
        assert again.facts == digits.facts


def test_another_codebook_is_another_tokenizer(digits):
    other = load(dataclasses.replace(QUICK, seed=1))
    assert other.facts.tokenizer == digits.facts.tokenizer == "codes-16"
    assert other.facts.tokenizer_hash != digits.facts.tokenizer_hash
    assert other.facts.data_hash != digits.facts.data_hash


def test_each_term_of_the_loss_moves_what_it_is_for():
    """Equation 3 of arXiv:1711.00937: the codebook follows vectors, vectors the codebook, and the
    gradient of the reconstruction passes through to the encoder."""
    torch.manual_seed(0)
    model, images = Autoencoder(4, 2), torch.rand(8, 4, 4)

    def gradients(**scales):
        model.zero_grad()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in scales.items():
                patch.setattr(autoencoder, name, value)
            autoencoder._loss(model, images, 1.0)[0].backward()
        return model.encoder[0].weight.grad.clone(), model.codebook.grad.clone()

    encoder, codebook = gradients()
    without, same = gradients(_COMMITMENT=0.0)
    assert torch.equal(codebook, same)
    assert not torch.allclose(encoder, without)
    assert without.abs().sum() > 0  # what is left is the reconstruction's
    # the codebook's gradient is that of the mean squared distance to the vectors: 2 (e - z) / n
    vectors = model.vectors(images).detach()
    codes = model.nearest(vectors)
    expected = torch.zeros_like(codebook).index_add_(
        0, codes.flatten(), (2 * (model.codebook[codes] - vectors) / vectors.numel()).flatten(0, 2)
    )
    assert torch.allclose(codebook, expected.detach(), atol=1e-7)


def test_entries_that_nothing_is_near_to_begin_again():
    images = torch.rand(64, 8, 8, generator=torch.Generator().manual_seed(1))
    done = train_autoencoder(images, codebook=256, patch=2, steps=100, seed=0)
    assert done.resets > 0


def test_a_vocabulary_keeps_its_decoder_and_refuses_a_damaged_one(digits):
    document = digits.vocabulary.to_document()
    assert vocabulary_from(document) == digits.vocabulary
    damaged = dataclasses.replace(digits.vocabulary, decoder=digits.vocabulary.decoder[:4000])
    with pytest.raises(ConfigError, match="decoder of the run's images is damaged"):
        pixels_of(damaged, digits.train[:1, 1:])


def test_a_patch_that_does_not_divide_the_image_is_refused(tmp_path):
    for number in range(6):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        pixels = np.full((6, 5), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / str(number % 2) / f"{number}.png")
    with pytest.raises(CorpusError) as caught:
        load(dataclasses.replace(QUICK, folder=str(tmp_path)), 6)
    assert str(caught.value) == (
        "data.patch is 2, which does not divide 6 x 5 pixels; set another, or data.side"
    )


def plan_of(tokens, context, width):
    data = {"source": "images", "tokens": tokens, "max_epochs": 99}
    data |= {"codebook": 16, "autoencoder_steps": 40} if tokens == "codes" else {}
    grid = {"width": width, "tokens": [40_000, 80_000]}
    return plan_sweep(
        config_from_mapping(
            {"name": "a", "grid": grid, "data": data, "model": {"context": context}}
        )
    )


def test_losses_of_codes_and_of_grey_levels_meet_in_no_fit(digits):
    runs = [*plan_of("codes", 16, [16, 32, 48]).runs, *plan_of("grey", 64, [16, 32, 48]).runs]
    kinds = [run.loss_kind for run in runs]
    assert set(kinds) == {"nats_per_code", "nats_per_dimension"}
    table = pd.DataFrame(
        [run.facts_when_finished() | {"loss": 9 / run.train_flops**0.1} for run in runs]
    )
    with pytest.raises(RecordError, match="differ in (loss_kind|tokenizer_hash)"):
        fit_law(records_from_table(table), "power_law")
    codes = table[table.loss_kind == "nats_per_code"]
    assert fit_law(records_from_table(codes), "power_law").records.loss_kind == "nats_per_code"


def test_a_check_says_what_the_codes_lose_and_what_lies_idle(digits):
    lost, unused = check_codebook(SimpleNamespace(corpus=digits))
    assert lost.measured == digits.facts.reconstruction_error
    assert lost.verdict == "FAIL"  # after 40 steps
    assert unused.measured == pytest.approx(1 - digits.facts.codebook_use)
    grey = load_corpus(ImagesData(tokens="grey"), 64)
    assert not list(check_codebook(SimpleNamespace(corpus=grey)))


def test_settings_of_codes_are_refused_where_there_are_none():
    mapping = {"name": "a", "grid": {"width": 16, "tokens": 9}}
    for settings, said in (
        ({"tokens": "grey", "codebook": 9}, "data.codebook is not used with data.tokens grey"),
        ({"codebook": 1}, "data.codebook is 1; it holds 2 to 4,096 codes"),
        ({"patch": 0}, "data.patch is 0; it must be positive"),
    ):
        with pytest.raises(ConfigError) as caught:
            config_from_mapping(mapping | {"data": {"source": "images"} | settings})
        assert said in str(caught.value)
