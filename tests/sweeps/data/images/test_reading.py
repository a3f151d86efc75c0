"""Facts about images as data: what is read, what is refused, and what no token loses."""

import math

import numpy as np
import pytest
from PIL import Image

from scaling.errors import ConfigError, CorpusError
from sweeps.config.images import ImagesData
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.images.reading import read_images
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.vocabulary import vocabulary_from
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.training_text import TrainingText
from sweeps.training.pack import train_run

DIGITS = {"source": "images", "tokens": "grey", "max_epochs": 9}


def drawn(seed, size=(5, 4)):
    """(height, width) uint8"""
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def saved(folder, *, labels=("cat", "dog"), count=10, **changes):
    """A folder of random images, `count` of each label."""
    for place, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = drawn(count * place + number)
            Image.fromarray(pixels).save(folder / label / f"{number:02}.png")
    return ImagesData(folder=str(folder), tokens="grey", **changes)


def refusal(config, context=20):
    with pytest.raises(CorpusError) as caught:
        load_corpus.__wrapped__(config, context)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_grey_token_is_a_pixel_and_nothing_is_lost(tmp_path):
    corpus = load_corpus(saved(tmp_path), 20)
    rows = np.concatenate([corpus.train, corpus.held_back])
    images = {row[1:].astype(np.uint8).tobytes() for row in rows}
    assert images == {drawn(seed).tobytes() for seed in range(20)}
    assert corpus.vocabulary.image_tokens == 256
    assert {corpus.vocabulary.spell(token).strip() for token in rows[:, 0]} == {b"cat", b"dog"}
    again = vocabulary_from(corpus.vocabulary.to_document())
    assert again == corpus.vocabulary


def test_words_of_a_label_are_tokens_and_shorter_labels_are_padded(tmp_path):
    config = saved(tmp_path, labels=("big_red-cat", "dog")).changed(labels="words")
    corpus = load_corpus(config, 22)
    words = corpus.vocabulary
    assert words.label_tokens == 3
    assert words.label("big red cat") == words.encode(b" big  red cat ")
    padded = words.label("dog")
    assert padded[0] == padded[1] == words.image_tokens
    held = corpus.validation
    assert (held.weights.sum(dim=1) == 20).all()
    assert (held.targets[held.weights.bool()] < words.image_tokens).all()
    for wrong in ("<none> <none> dog", "bird", "dog dog dog dog", ""):
        with pytest.raises(ConfigError, match="is no label of the run's images"):
            words.label(wrong)


def test_images_without_labels_begin_with_a_start(tmp_path):
    corpus = load_corpus(saved(tmp_path, labels=("x",)).changed(labels="none"), 20)
    assert (corpus.train[:, 0] == 256).all()
    assert corpus.vocabulary.encode(b"") == [256]
    with pytest.raises(ConfigError, match="have no labels"):
        corpus.vocabulary.encode(b"x")


def test_a_table_gives_labels_in_place_of_folders(tmp_path):
    folder = tmp_path / "images"
    config = saved(folder, labels=("any",))
    rows = [f'any/{number:02}.png,"{"odd" if number % 2 else "even"}"' for number in range(10)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *rows]))
    found = read_images(config.changed(table=str(table)))
    assert found.labels == ("even", "odd") * 5
    table.write_text("\n".join(["file,label", *rows[:-1]]))
    said = refusal(config.changed(table=str(table)))
    assert said == f"{table}: no label of any/09.png; add its row, or set data.labels: none"
    table.write_text("name\nx")
    assert "needs the columns file and label; it has name" in refusal(
        config.changed(table=str(table))
    )
    assert "cannot be read (No such file" in refusal(config.changed(table=str(tmp_path / "no")))


def test_digits_are_described_by_their_ink():
    found = read_images(ImagesData(labels="words"))
    assert len(found.pixels) == 1797
    ink = found.pixels.reshape(1797, -1).sum(1)
    labels = np.array(found.labels)
    assert ink[labels == "bold three"].min() > ink[labels == "thin three"].max()


def test_copies_of_an_image_lie_on_one_side(tmp_path):
    config = saved(tmp_path)
    for number in range(10):  # each cat is a dog too
        Image.fromarray(drawn(number)).save(tmp_path / "dog" / f"{number:02}.png")
    corpus = load_corpus(config, 20)
    sides = [{row[1:].tobytes() for row in rows} for rows in (corpus.train, corpus.held_back)]
    assert not sides[0] & sides[1]
    assert len(corpus.held_back) % 2 == 0


def test_what_cannot_be_read_is_one_line_or_is_left_out_and_told(tmp_path):
    config = saved(tmp_path)
    broken = tmp_path / "cat" / "05.png"
    broken.write_bytes(broken.read_bytes()[:60])
    said = refusal(config)
    assert said.startswith(f"{broken}: is no whole image (")
    assert said.endswith("; mend or remove it, or set data.unreadable: skip")
    Image.fromarray(drawn(1).astype(np.uint16) * 200).save(tmp_path / "cat" / "deep.png")
    (tmp_path / "dog" / "note.png").write_text("no image")
    skipping = config.changed(unreadable="skip", max_epochs=99)
    data = skipping.mapping()
    mapping = {"name": "a", "grid": {"width": 16, "tokens": 20000}, "model": {"context": 20}}
    plan = plan_sweep(config_from_mapping(mapping | {"data": data}))
    lines = TrainingText.of(plan).lines
    assert lines[0] == (
        "images: 19 of 5 x 4 pixels and 256 grey levels, 2 labels; 16 to train on, 3 to measure on"
    )
    assert lines[-1].startswith("3 documents left out, unreadable: ")
    assert str(broken) in lines[-1]


def test_sizes_that_differ_are_named_and_scaled_where_asked(tmp_path):
    config = saved(tmp_path)
    odd = tmp_path / "dog" / "99.png"
    Image.fromarray(drawn(1, (7, 9))).save(odd)
    said = refusal(config)
    first = tmp_path / "cat" / "00.png"
    assert said == (
        f"{odd}: 9 x 7 pixels, and {first} has 4 x 5; set data.side to scale all to one size"
    )
    found = read_images(config.changed(side=3, levels=16))
    assert found.pixels.shape == (21, 3, 3)
    assert found.pixels.max() <= 15
    assert "scaled to 3 x 3 pixels" in found.notes


def test_labels_that_are_missing_or_tell_nothing_are_refused(tmp_path):
    one = saved(tmp_path / "one", labels=("cat",))
    assert refusal(one) == (
        f'{tmp_path / "one"}: all images have the label "cat", so that it tells nothing; add '
        "images of another, or set data.labels: none"
    )
    flat = tmp_path / "flat"
    flat.mkdir()
    assert "no image in it; they end in .bmp" in refusal(
        ImagesData(folder=str(flat), tokens="grey")
    )
    Image.fromarray(drawn(1)).save(flat / "1.png")
    assert "1.png: has no label; put it into a folder that is named by one" in refusal(
        ImagesData(folder=str(flat), tokens="grey")
    )
    assert refusal(ImagesData(folder=str(tmp_path / "no"))).endswith(
        "no such folder; mend data.folder"
    )
    few = saved(tmp_path / "few", count=1).changed(validation_share=0.9)
    assert "too few to hold back" in refusal(few)


def test_colours_are_read_as_grey_and_that_is_said(tmp_path):
    config = saved(tmp_path)
    Image.new("RGB", (4, 5), (255, 0, 0)).save(tmp_path / "cat" / "red.png")
    clear = Image.new("RGBA", (4, 5), (0, 0, 0, 0))
    clear.save(tmp_path / "cat" / "clear.png")
    found = read_images(config)
    assert found.notes == ("2 images in colour, read as grey",)
    assert (found.pixels[10] == 255).all()  # cat/clear.png: what is transparent is white
    assert (found.pixels[11] == 76).all()  # ITU-R 601-2: 299/1000 of red


def test_a_context_that_is_not_the_images_is_told_which_is():
    said = refusal(ImagesData(tokens="grey"), context=63)
    assert said == (
        "model.context is 63; an image of 8 x 8 tokens behind 1 of its label has 64 next ones: set "
        "model.context: 64"
    )


def test_what_contradicts_itself_is_refused():
    for settings, said in (
        ({"side": 8}, "data.side is about images in files; give data.folder"),
        ({"table": "a.csv"}, "data.table is about images in files"),
        ({"folder": "a", "labels": "none", "table": "a.csv"}, "data.table is not used with"),
        ({"folder": "a", "levels": 1}, "data.levels is 1; an image has 2 to 256"),
        ({"validation_share": 1.0}, "data.validation_share is 1; it lies between 0 and 1"),
        ({"labels": "text"}, 'data.labels is "text"; choose one of class, words, none'),
        ({"vocab_size": 9}, "its tokens are grey levels"),
    ):
        mapping = {"name": "a", "grid": {"width": 8, "tokens": 9}, "data": DIGITS | settings}
        with pytest.raises(ConfigError) as caught:
            config_from_mapping(mapping)
        assert said in str(caught.value)


def plan_of(**changes):
    mapping = {"name": "a", "grid": {"width": 16, "tokens": 50_000}, "data": DIGITS}
    return plan_sweep(config_from_mapping(mapping | changes))


def test_losses_of_images_are_of_a_kind_of_their_own():
    causal, given = plan_of().runs[0], plan_of(objective="conditional").runs[0]
    assert causal.loss_kind == given.loss_kind == "nats_per_dimension"
    assert given.targets.source_tokens == 1
    assert causal.facts_when_finished()["target_tokens"] == causal.tokens
    words = plan_of(
        objective="conditional", data=DIGITS | {"labels": "words"}, model={"context": 65}
    )
    assert words.runs[0].targets.source_tokens == 2
    assert words.runs[0].facts_when_finished()["target_tokens"] * 65 == words.runs[0].tokens * 64
    with pytest.raises(ConfigError, match="data.source images begins with 1: leave it out"):
        plan_of(objective="conditional", targets={"source_tokens": 2})
    with pytest.raises(ConfigError, match="data.source images is for causal or conditional"):
        plan_of(objective="masked")


def test_a_record_has_the_loss_in_bits_a_dimension():
    plan = plan_of(data=DIGITS | {"validation_windows": 50})
    corpus = load_corpus(plan.config.data, 64)
    run = plan.runs[0]
    record = train_run(run, corpus, plan.config.launch.changed(device="cpu")).record(run)
    assert record["bits_per_dimension"] == pytest.approx(record["loss"] / math.log(2))
    assert record["bits_per_dimension"] < math.log2(17)  # of a uniform guess
    assert record["bits_per_byte"] is None
    assert "bits_per_code" not in record
