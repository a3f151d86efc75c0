"""Numbers in words: a table made by hand, another library's words, and which words are longest."""

import random

import pytest
from num2words import num2words

from sweeps.config.data import LARGEST_NUMBER, NUMBER_LANGUAGES
from sweeps.data.sources.number_words import LANGUAGES, english, german, longest_words

BY_HAND = {
    0: ("zero", "null"),
    1: ("one", "eins"),
    16: ("sixteen", "sechzehn"),
    17: ("seventeen", "siebzehn"),
    21: ("twenty-one", "einundzwanzig"),
    30: ("thirty", "dreißig"),
    76: ("seventy-six", "sechsundsiebzig"),
    100: ("one hundred", "einhundert"),
    101: ("one hundred one", "einhunderteins"),
    345: ("three hundred forty-five", "dreihundertfünfundvierzig"),
    1001: ("one thousand one", "eintausendeins"),
    101_000: ("one hundred one thousand", "einhunderteintausend"),
    1_000_000: ("one million", "eine Million"),
    1_000_121: ("one million one hundred twenty-one", "eine Million einhunderteinundzwanzig"),
    12_000_012: ("twelve million twelve", "zwölf Millionen zwölf"),
    101_000_000: ("one hundred one million", "einhunderteine Millionen"),
    10**9: ("one billion", "eine Milliarde"),
}


@pytest.mark.parametrize("number", BY_HAND)
def test_a_number_is_said_as_the_table_has_it(number):
    assert (english(number), german(number)) == BY_HAND[number]


def test_the_words_are_those_of_another_library():
    draw = random.Random(0)
    numbers = [*range(2100), *(draw.randrange(10**9) for _ in range(1500)), 10**9]
    numbers += [10**k + d for k in range(3, 9) for d in (-1, 0, 1, 21, 100)]
    for number in numbers:
        # theirs is British: "one thousand, two hundred and one"
        theirs = num2words(number, lang="en").replace(" and ", " ").replace(",", "")
        assert english(number) == theirs
        if any(part % 100 == 1 and part > 1 for part in (number // 1000 % 1000, number // 10**6)):
            continue  # theirs has "einhunderteinstausend" and "einhunderteins Millionen"
        assert german(number) == num2words(number, lang="de")


def test_no_two_numbers_are_said_alike():
    for say in LANGUAGES.values():
        assert len({say(number) for number in range(100_000)}) == 100_000


@pytest.mark.parametrize("language", NUMBER_LANGUAGES)
@pytest.mark.parametrize("largest", [0, 9, 99, 105, 999, 1500, 21_000, 99_999])
def test_no_words_are_longer_than_those_that_are_said_to_be_the_longest(language, largest):
    most = max(len(LANGUAGES[language](number)) for number in range(largest + 1))
    assert len(longest_words(language, largest)) == most


def test_every_language_that_a_config_may_name_is_there():
    assert set(NUMBER_LANGUAGES) == LANGUAGES.keys()
    assert {language: len(longest_words(language, LARGEST_NUMBER)) for language in LANGUAGES} == {
        "english": 100,
        "german": 105,
    }
