"""Whole numbers from 0 to 10^9 in words, in languages that order the parts otherwise.

English (American) says hundreds, tens, ones, in words parted by blanks: "one hundred twenty-one
thousand". German says ones before tens, and all below a million in one word,
"einhunderteinundzwanzigtausend"; one million is "eine Million", two are "zwei Millionen".
"""

import functools
from collections.abc import Callable

_ENGLISH = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GERMAN = (
    *("null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
    *("elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn"),
    "neunzehn",
)
_GERMAN_TENS = (
    *("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig"),
    "neunzig",
)


def english(number: int) -> str:
    """A number in English, for example 1000121: "one million one hundred twenty-one"."""
    if number == 0:
        return _ENGLISH[0]
    scales = ((10**9, " billion"), (10**6, " million"), (1000, " thousand"), (1, ""))
    return " ".join(_english_below_1000(part) + scale for part, scale in _parts(number, scales))


def german(number: int) -> str:
    """A number in German, for example 1000121: "eine Million einhunderteinundzwanzig"."""
    if number == 0:
        return _GERMAN[0]
    words = []
    for part, scale in _parts(number, ((10**9, "Milliarde"), (10**6, "Million"))):
        several = "" if part == 1 else "n" if scale.endswith("e") else "en"
        words.append(f"{_german_below_1000(part, 'eine')} {scale}{several}")
    below = ""
    for part, scale in _parts(number % 10**6, ((1000, "tausend"), (1, ""))):
        below += _german_below_1000(part, "ein" if scale else "eins") + scale
    return " ".join([*words, below] if below else words)


def _parts(number: int, scales: tuple[tuple[int, str], ...]) -> list[tuple[int, str]]:
    """How many there are of each scale, from the largest down, those of which there are any."""
    found = []
    for size, name in scales:
        if number >= size:
            found.append((number // size, name))
            number %= size
    return found


@functools.cache
def _english_below_1000(number: int) -> str:
    words = []
    if number >= 100:
        words.append(f"{_ENGLISH[number // 100]} hundred")
    below = number % 100
    if below >= 20:
        ones = f"-{_ENGLISH[below % 10]}" if below % 10 else ""
        words.append(_ENGLISH_TENS[below // 10 - 2] + ones)
    elif below:
        words.append(_ENGLISH[below])
    return " ".join(words)


@functools.cache
def _german_below_1000(number: int, one: str) -> str:
    """`one`: how a one at the end is said, which depends on what is counted."""
    found = f"{_GERMAN[number // 100]}hundert" if number >= 100 else ""
    below = number % 100
    if below >= 20:
        ones = f"{_GERMAN[below % 10]}und" if below % 10 else ""
        return found + ones + _GERMAN_TENS[below // 10 - 2]
    if below == 1:
        return found + one
    return found + _GERMAN[below] if below else found


#: How each language says a number.
LANGUAGES: dict[str, Callable[[int], str]] = {"english": english, "german": german}


def longest_words(language: str, largest: int) -> str:
    """The longest of the words of all numbers from 0 to `largest`, by characters."""
    say = LANGUAGES[language]
    longest_group = max(range(1000), key=lambda group: len(say(group)))
    found = [say(largest)]
    # A smaller number has some group of three digits below that of `largest`, the same groups
    # before it, and any behind it: the longest there are.
    for size in (10**9, 10**6, 1000, 1):
        before = largest // (1000 * size) * (1000 * size)
        behind = longest_group * (1 + 1000 + 10**6) % size
        numbers = (before + group * size + behind for group in range(largest // size % 1000))
        found += map(say, numbers)
    return max(found, key=len)
