"""Facts about `scaling sample --label`: runs of images draw them, as pictures in files."""

import io

from PIL import Image

from scaling.samples import read_samples


def test_runs_draw_a_sheet_with_a_row_a_label_and_a_column_a_size(kept_sweeps, told):
    path = kept_sweeps["folder"] / "sheets" / "drawn.png"
    asked = ["sample", "images", "--label", "bold three", "--label", "seven", "--samples", "3"]
    said = told([*asked, "--png", str(path)])
    assert said.out == f"2 labels, 2 runs, 3 images each: {path}\n"
    assert "drawn by temperature 1, seed 0" in said.err
    with Image.open(path) as sheet:
        width, height = sheet.size
    assert height > 2 * 48 and width > 2 * 3 * 48


def test_drawn_images_are_samples_that_a_report_reads(kept_sweeps, told):
    path = str(kept_sweeps["folder"] / "drawn.json")
    asked = ["sample", "images", "--label", "bold three", "--label", "seven", "--samples", "2"]
    told([*asked, "-o", path])
    found = read_samples(path)
    ids = [run.run_id for run in kept_sweeps["images"]]
    assert [run.run_id for run in found.runs] == 2 * ids
    prompts = [run.prompt.split() for run in found.runs]
    assert prompts == [["bold", "three"]] * 2 + [["seven"]] * 2
    for run in found.runs:
        assert len(run.samples) == 2
        for sample in run.samples:
            assert Image.open(io.BytesIO(sample.png)).size == (8, 8)


def test_the_same_seed_draws_the_same_and_a_prompt_is_a_label_too(kept_sweeps, document):
    run = kept_sweeps["images"][0].run_id
    first = document(["sample", run, "--label", "thin one", "--seed", "4"])
    again = document(["sample", run, "--prompt", "thin one", "--seed", "4"])
    (one,) = first["runs"][0]["continuations"]
    assert one == again["runs"][0]["continuations"][0]
    assert len(one["tokens"]) == 16 and max(one["tokens"]) < 16
    assert one["ending"] == "tokens"


def test_a_file_of_weights_holds_its_decoder(kept_sweeps, told, monkeypatch, tmp_path):
    run = kept_sweeps["images"][0].run_id
    weights = str(kept_sweeps["folder"] / "weights" / f"{run}.safetensors")
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path))  # no autoencoder lies there
    told(["sample", weights, "--label", "thin one", "--png", str(tmp_path / "one.png")])
    with Image.open(tmp_path / "one.png") as sheet:
        assert sheet.size[1] < 100


def test_mistakes_about_images_are_one_line(kept_sweeps, refusal):
    run, png = kept_sweeps["images"][0].run_id, ["--png", "a.png"]
    text = kept_sweeps["text"][0].run_id
    for asked, said in (
        ([run, "--label", "cat", *png], '"cat" is no label of the run\'s images; give at most 2'),
        ([run, "--label", "seven"], "give --png FILE.png, or -o FILE.json"),
        ([run, "--label", "seven", *png, "--tokens", "3"], "drawn whole; leave --tokens out"),
        ([run, "--label", "seven", "--prompt", "x", *png], "drop it, or drop --prompt"),
        ([text, "--label", "seven", *png], "its tokens are no images; give --prompt"),
        ([run, "--prompt", "dog"], '"dog" is no label of the run\'s images'),
    ):
        assert said in refusal(["sample", *asked])
