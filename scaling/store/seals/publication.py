"""A seal's digest where the owner of the store cannot change it quietly: an annotated tag of git.

    scaling-seals/CHAIN/NUMBER    the tag, at the commit that was checked out
    scaling seal 3 of chain 1f2e3d4c: big, sha256:9a0b...    its message, which may go anywhere

A tag holds the date that its maker's clock showed, and can be made anew, as a commit can. What
makes it hold is that others have it: a remote to which it was pushed, or a colleague's clone.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

from scaling.errors import StoreError
from scaling.limits import Limit, LimitCode
from scaling.store.seals.chain import KeptSeal, Link, Publication, SealChain, with_publications
from scaling.words import counted

_FOLDER = "scaling-seals"
_CHAIN = 8  # digits of a chain's name that tell it from others
_MESSAGE = re.compile(r"scaling seal (\d+) of chain ([0-9a-f]+): .*, sha256:([0-9a-f]{64})")
_FIELDS = ("refname:lstrip=2", "objectname", "taggerdate:iso-strict", "*committerdate:iso-strict")
_SECONDS = 20


def publication_line(seal: KeptSeal, link: Link) -> str:
    """The one line that fixes a seal wherever it is written down before the run begins."""
    name = "".join(character if character.isprintable() else "?" for character in seal.name)
    chain = link.chain[:_CHAIN]
    return f"scaling seal {seal.number} of chain {chain}: {name}, sha256:{seal.digest}"


def require_repository(link: Link) -> None:
    """Raise StoreError where git could not tag a seal of this place here, before it is made."""
    _git("rev-parse", "--verify", "HEAD^{commit}")
    _git("var", "GIT_COMMITTER_IDENT")  # fails where git does not know who makes the tag
    tag = _tag_at(link)
    if _git("tag", "--list", tag):
        raise StoreError(
            f"the tag {tag} exists already: seal {link.number} of this chain was published from "
            "another copy of the store; seal there, or without --publish"
        )


def publish_in_git(seal: KeptSeal, link: Link) -> str:
    """Tag the commit that is checked out here with a seal's digest; the tag's name.

    Raises StoreError where this is no repository, or git refuses.
    """
    _git("tag", "--annotate", "--message", publication_line(seal, link), _tag_at(link), "HEAD")
    return _tag_at(link)


def held_against_git(chain: SealChain) -> SealChain:
    """The chain held against the tags of the repository here, and those of its remotes.

    Raises StoreError where this is no repository of git.
    """
    pattern = f"refs/tags/{_FOLDER}"
    form = "%00".join(f"%({field})" for field in _FIELDS) + "%00%(contents:subject)"
    rows = [line.split("\0") for line in _git("for-each-ref", f"--format={form}", pattern)]
    remotes = {name: _tags_of(name, pattern) for name in _git("remote")}
    found = []
    for tag, identity, tagged, committed, subject in rows:
        message = _MESSAGE.fullmatch(subject)
        if not message or not tagged:
            continue
        theirs = {remote: (tags or {}).get(f"refs/tags/{tag}") for remote, tags in remotes.items()}
        times = [datetime.fromisoformat(time) for time in (tagged, committed) if time]
        found.append(
            Publication(
                number=int(message[1]),
                chain=message[2],
                digest=message[3],
                where=f"git tag {tag}",
                # a tag is no older than what it points at, whatever its maker's clock said
                at=max(times).astimezone(UTC).isoformat(timespec="seconds"),
                remotes=tuple(remote for remote, one in theirs.items() if one == identity),
                disputed=tuple(remote for remote, one in theirs.items() if one and one != identity),
            )
        )
    doubts = _doubts_of_remotes(remotes, {f"refs/tags/{row[0]}" for row in rows})
    return with_publications(chain, found, doubts)


def _doubts_of_remotes(remotes: dict[str, dict[str, str] | None], here: set[str]) -> list[Limit]:
    doubts = []
    for remote, tags in remotes.items():
        if tags is None:
            text = f"the remote {remote} does not answer: whether it has the tags is not known"
            doubts.append(Limit(LimitCode.NOT_PROVED, text))
        elif missing := set(tags) - here:
            some = counted(len(missing), "tag")
            text = f"{remote} has {some} of seals that are not here; git fetch {remote} --tags"
            doubts.append(Limit(LimitCode.SEAL_MISSING, text))
    return doubts


def _tag_at(link: Link) -> str:
    return f"{_FOLDER}/{link.chain[:_CHAIN]}/{link.number}"


def _tags_of(remote: str, pattern: str) -> dict[str, str] | None:
    """The tags of seals that a remote has now, with what they are; None where it is silent."""
    try:
        lines = _git("ls-remote", "--refs", "--", remote, f"{pattern}/*")
    except StoreError:
        return None
    return {name: identity for identity, name in (line.split("\t") for line in lines)}


def _git(*words: str) -> Sequence[str]:
    """The lines that git prints. Raises StoreError, in one line, where it fails."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            env={**quiet, **os.environ} | {"LC_ALL": "C"},
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        said = [*error.stderr.strip().splitlines(), "is this a repository with a commit?"]
        raise StoreError(f"git {words[0]}: {said[0]}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError(f"git {words[0]}: {type(error).__name__}; is git installed?") from error
    return [line for line in done.stdout.splitlines() if line]
