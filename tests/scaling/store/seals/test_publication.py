"""Facts about published seals: tags of git that others hold, and digests that somebody kept."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaling.errors import StoreError
from scaling.limits import LimitCode
from scaling.store.seals.chain import KeptSeal, Link, SealChain, with_published_digest
from scaling.store.seals.publication import (
    held_against_git,
    publication_line,
    publish_in_git,
    require_repository,
)

CHAIN = "0123456789abcdef"


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A repository of one commit as the working directory, with a remote of its own."""
    for name, value in {"NAME": "a", "EMAIL": "a@b", "DATE": "2026-02-02T00:00:00Z"}.items():
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    here = tmp_path / "here"
    git("init", "--quiet", "--bare", str(tmp_path / "there"))
    git("init", "--quiet", str(here))
    monkeypatch.chdir(here)
    git("commit", "--quiet", "--allow-empty", "--message", "a commit")
    git("remote", "add", "origin", str(tmp_path / "there"))
    return here


def link(number):
    return Link(chain=CHAIN, number=number, previous="")


def kept(number, digest="a"):
    return KeptSeal(
        name=f"seal-{number}",
        number=number,
        digest=(f"{digest}{number}" * 32)[:64],
        kept_at=datetime(2026, 1, 1, tzinfo=UTC),
        document="{}",
    )


def chain(*seals):
    return SealChain(name=CHAIN, seals=seals, count=len(seals))


def codes(limits):
    return {limit.code for limit in limits}


def test_the_line_to_publish_says_number_name_and_digest_in_one_line():
    line = publication_line(kept(3), link(3))
    assert line == f"scaling seal 3 of chain 01234567: seal-3, sha256:{kept(3).digest}"


def test_a_tag_vouches_for_its_seal_and_for_those_before_it():
    publish_in_git(kept(2), link(2))
    held = held_against_git(chain(kept(1), kept(2), kept(3)))
    assert [seal.published and seal.published.number for seal in held.seals] == [2, 2, None]
    assert held.seals[0].published.at == "2026-02-02T00:00:00+00:00"
    assert not held.limits and not any(seal.limits for seal in held.seals)
    assert held.seals[0].published.remotes == ()  # nobody else has it
    git("push", "--quiet", "origin", "--tags")
    held = held_against_git(chain(kept(1), kept(2)))
    git("branch", "scaling-seals/01234567/2")  # of the same name
    assert held_against_git(chain(kept(1), kept(2))) == held
    assert held.seals[1].published.remotes == ("origin",)


def test_a_seal_that_is_not_what_was_published_is_altered():
    publish_in_git(kept(1), link(1))
    (seal,) = held_against_git(chain(kept(1, "b"))).seals
    assert codes(seal.limits) == {LimitCode.ALTERED} and seal.published is None


def test_a_tag_that_was_made_anew_is_not_the_one_that_the_remote_has():
    publish_in_git(kept(1), link(1))
    git("push", "--quiet", "origin", "--tags")
    git("tag", "--delete", "scaling-seals/01234567/1")
    publish_in_git(kept(1, "b"), link(1))
    (seal,) = held_against_git(chain(kept(1, "b"))).seals
    assert codes(seal.limits) == {LimitCode.ALTERED}


def test_a_published_seal_that_the_store_lost_is_missing():
    for number in (1, 2):
        publish_in_git(kept(number), link(number))
    held = held_against_git(chain(kept(1)))
    assert codes(held.limits) == {LimitCode.SEAL_MISSING} and held.count == 2
    git("push", "--quiet", "origin", "--tags")
    git("tag", "--delete", "scaling-seals/01234567/2")
    assert codes(held_against_git(chain(kept(1))).limits) == {LimitCode.SEAL_MISSING}


def test_tags_of_another_chain_are_said(monkeypatch):
    publish_in_git(kept(1), link(1))
    other = SealChain(name="f" * 16, seals=(kept(1, "b"),), count=1)
    held = held_against_git(other)
    assert codes(held.limits) == {LimitCode.NOT_PROVED} and held.seals[0].published is None


def test_a_tag_is_no_older_than_its_commit_whatever_its_clock_said(monkeypatch):
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
    publish_in_git(kept(1), link(1))
    (seal,) = held_against_git(chain(kept(1))).seals
    assert seal.published.at == "2026-02-02T00:00:00+00:00"


def test_a_remote_that_does_not_answer_is_said():
    git("remote", "add", "gone", "/no/such/place")
    publish_in_git(kept(1), link(1))
    assert codes(held_against_git(chain(kept(1))).limits) == {LimitCode.NOT_PROVED}


def test_one_number_is_published_once():
    require_repository(link(1))
    publish_in_git(kept(1), link(1))
    with pytest.raises(StoreError, match="another copy of the store"):
        require_repository(link(1))


def test_a_repository_whose_git_knows_nobody_is_refused_before_anything_is_sealed(monkeypatch):
    for who in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_COMMITTER_{who}")
        monkeypatch.delenv(f"GIT_AUTHOR_{who}")
    git("config", "user.useConfigOnly", "true")
    with pytest.raises(StoreError, match="git var") as caught:
        require_repository(link(1))
    assert "\n" not in str(caught.value)


def test_other_tags_and_messages_are_no_publications():
    git("tag", "scaling-seals/01234567/1")
    git("tag", "--annotate", "--message", "words", "scaling-seals/01234567/2")
    Path("latin").write_bytes(b"caf\xe9")
    git("tag", "--annotate", "--file", "latin", "scaling-seals/01234567/3")
    (seal,) = held_against_git(chain(kept(1))).seals
    assert seal.published is None


def test_a_place_without_a_repository_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ask in (lambda: require_repository(link(1)), lambda: held_against_git(chain(kept(1)))):
        with pytest.raises(StoreError, match="git") as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [str.upper, lambda digest: f"sha256:{digest[:20]}"])
def test_a_digest_that_was_given_vouches_as_a_tag_does(given):
    seals = (kept(1), kept(2), kept(3))
    held = with_published_digest(chain(*seals), given(seals[1].digest))
    assert [seal.published is not None for seal in held.seals] == [True, True, False]
    assert held.seals[0].published.at is None


def test_a_digest_that_no_seal_has_counts_for_none():
    held = with_published_digest(chain(kept(1), kept(2)), "f" * 64)
    assert [codes(seal.limits) for seal in held.seals] == [{LimitCode.ALTERED}] * 2


@pytest.mark.parametrize("given", ["", "abc", "z" * 64])
def test_what_is_no_digest_is_refused(given):
    with pytest.raises(StoreError, match="at least 16 digits"):
        with_published_digest(chain(kept(1)), given)
