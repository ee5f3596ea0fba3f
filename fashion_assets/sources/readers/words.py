"""How much a decoded text looks like words, by which an encoding is chosen.

What belongs here: letters among letters, signs where people write them, characters a language uses. What does not: which encodings are
tried, reading the file (`encoding`).
"""

import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

_ALPHABETS = {
    "cp1252": (
        "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "àèéìíîòóùú", "áâãàçéêíóôõúü", "ëïéèóöüêç", "åäöéü", "æøåéöäü",
        "àçèéíïòóúü", "áðéíóúýþæö",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß"),
    "cp1254": ("çğıöşüâîûİ",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),
    "cp1251": ("абвгдежзийклмнопрстуфхцчшщъыьэюяё", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"),
    "cp1253": ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",),
    "cp1255": ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",),
    "cp1256": ("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ",),
}  # fmt: skip
"""Letters beyond a to z of the languages written in each."""
_ALPHABETS |= {
    "mac_roman": _ALPHABETS["cp1252"],
    "cp850": _ALPHABETS["cp1252"],
    "iso8859_2": _ALPHABETS["cp1250"],
    "koi8_r": _ALPHABETS["cp1251"],
}

_COMMON = {
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
    "cp932": ("shift_jis", 0x88, 0x97),
    "euc_jp": ("euc_jp", 0xB0, 0xCF),
    "cp949": ("euc_kr", 0xB0, 0xC8),
}
"""East Asian sets of characters begin with those that texts are made of (GB 2312 and JIS X 0208: level 1, Big5: frequent ones, KS X
1001: syllables): the set, and the first bytes of those."""

_THAI_VOWELS = 0.35
"""About as many of the characters of Thai text are vowels, before and behind consonants or as marks on them."""

_SIGNS = frozenset("“”„‘’‚–—…€£¥°®™©«»·•½¼¾×²³ªº´¨\u00a0、。・「」『』ー（）　！？～：／")  # noqa: RUF001
_FITTING = re.compile(
    r"(?<=\w)[®™](?!\w)"
    r"|(?<=\w)’(?=(?:s|t|d|m|ll|re|ve|S|T|D)\b|\W)"  # noqa: RUF001
    r"|(?<=\b[cdjlmnstCDJLMNST])’(?=\w)|(?<=\b[Qq]u)’(?=\w)"  # noqa: RUF001
    r"|(?<!\w)•|(?<=\s)[–—×…](?=\s)|(?<=\d)[–×](?=\d)"  # noqa: RUF001
    r"|(?<!\w)[“„‘«](?=\w)|(?<=[\w.!?])[”“»](?!\w)|(?<!\w)«\xa0?|(?<=[\w.!?]\xa0)»(?!\w)|(?<=[\w.!?] )»(?!\w)|\xa0(?=»)"  # noqa: RUF001
    r"|[€£¥](?= ?\d)|(?<=\d)[€£¥](?!\w)|(?<=\d )[€£¥](?!\w)|(?<=\d)°|(?<=\b[Nn])°"
    r"|(?<![^\W\d_])[½¼¾](?![^\W\d_])|(?<=[\dm])[²³](?!\w)|(?<=\d)[ºª](?!\w)|(?<=\b[MmNn])[ºª](?!\w)|(?<=\S)\xa0(?=\S)"
    r"|[¿](?=[^\n]*\?)|[¡](?=[^\n]*!)"
)
"""Signs where people write them: `Levi’s®`, `l’été`, `« noir »`, `50 €`, `30°`."""  # noqa: RUF001
_HEBREW = {
    "cp1251": re.compile("[^А-Яы-я]*"),  # noqa: RUF001
    "koi8_r": re.compile("[^а-я]*"),  # noqa: RUF001
    "cp1253": re.compile(".*ΰ.*", re.DOTALL),
}
"""What Hebrew looks like where it is taken for another alphabet: letters of one case, an alef for a rare letter."""
_WORDS = frozenset("àèéìòóáöøåœíúâ")
"""Letters that are words by themselves."""
_ALONE = ("CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI")
"""Scripts of which a letter by itself is seldom a word among Latin ones."""
_TOKEN = re.compile(r"[^\W\d_]*[^\W\d_\x00-\x7f][^\W\d_]*")
MOST_TOKENS = 300
"""Words that are looked up: where there are more, letters tell."""
_SHORTEST_PART, _LONGEST_PART = 4, 14
_KNOWN = 2.5
"""What it counts that all the words are known."""
_PAIR = 0.75
"""What each of its two neighbours counts, where a letter stands beside such in known words."""
_JOINING = frozenset("·ー・ªº°")


def is_latin(encoding: str) -> bool:
    """Whether most letters of its texts are ASCII."""
    return encoding in ("cp1252", "cp1250", "cp1254", "cp1257", "mac_roman", "cp850", "iso8859_2")


def plausibility(text: str, encoding: str) -> float:
    """How much the characters beyond ASCII look like words: some 2 to 5 for text, 0 and less for what was decoded wrongly."""
    total, count = 0.0, 0
    letters: list[str] = []
    padded = f" {text} "
    fitting = {found.start() for found in _FITTING.finditer(padded)}
    for position, letter in enumerate(padded):
        if letter < "\x80":
            continue
        count += 1
        before, after = padded[position - 1], padded[position + 1]
        if position in fitting:
            total += 5.5
        elif letter.isalpha() or unicodedata.category(letter).startswith("M"):
            score = _letter(letter, before, after) + _pairs_known(letter, before, after)
            total += score
            if score >= 0:
                letters.append(letter.lower())
        elif letter in _SIGNS:
            joins = letter in _JOINING or letter >= "\u3000"
            total += 2 if joins or not after.isalpha() else -3
        else:
            total += -10 if unicodedata.category(letter).startswith("C") else -2
    if not count:
        return 0.0
    if any("\u4e00" <= letter <= "\u9fff" for letter in letters) and encoding in ("cp932", "euc_jp"):
        total -= (
            0 if any("\u3041" <= letter <= "\u30ff" for letter in letters) else count
        )  # Japanese has kana
    if (hebrew := _HEBREW.get(encoding)) is not None and hebrew.fullmatch(text):
        total -= count
    mean = total / count
    if mean <= 0:
        return mean
    return mean + 2.0 * _of_the_language(letters, encoding) / count + _KNOWN * _known_share(text)


def _known_share(text: str) -> float:
    """How many of the first words with letters beyond ASCII are known ones, or hold one of four letters and more."""
    tokens: dict[str, None] = {}
    for found in _TOKEN.finditer(text):
        tokens[found[0]] = None
        if len(tokens) == MOST_TOKENS:
            break
    return sum(map(_is_known, tokens)) / len(tokens) if tokens else 0.0


def _is_known(token: str) -> bool:
    if not (token[1:].islower() or token.isupper()):
        return False
    words, size, token = _words(), len(token), token.lower()
    return token in words or any(
        token[begin:end] in words
        for begin in range(size)
        for end in range(begin + _SHORTEST_PART, min(size, begin + _LONGEST_PART) + 1)
    )


def _pairs_known(letter: str, before: str, after: str) -> float:
    """What it counts that a letter stands beside the ones it stands beside in known words."""
    low, pairs = letter.lower(), _pairs()
    return _PAIR * ((before.lower() + low in pairs) + (low + after.lower() in pairs))


@cache
def _pairs() -> frozenset[str]:
    return frozenset(
        pair
        for word in _words()
        for pair in map("".join, pairwise(f" {word} "))
        if not pair.isascii() and " " not in pair
    )


@cache
def _words() -> frozenset[str]:
    import tomllib

    said = resources.files("fashion_assets.sources.readers").joinpath("accented.toml").read_text("utf-8")
    return frozenset(word for words in tomllib.loads(said).values() for word in words.split())


def _of_the_language(letters: list[str], encoding: str) -> float:
    """How many of the letters are those of one language that is written in the encoding."""
    if encoding in _COMMON:
        return sum(_is_common(letter, encoding) for letter in letters)
    if encoding == "cp874":
        vowels = sum("\u0e30" <= letter <= "\u0e4e" for letter in letters)
        return min(len(letters), vowels / _THAI_VOWELS)
    return max(
        (sum(letter in alphabet for letter in letters) for alphabet in _ALPHABETS.get(encoding, ())),
        default=0,
    )


@lru_cache(4096)
def _is_common(letter: str, encoding: str) -> bool:
    if "\u3041" <= letter <= "\u30ff":
        return encoding in ("cp932", "euc_jp")
    characters, first, last = _COMMON[encoding]
    try:
        return first <= letter.encode(characters)[0] <= last
    except UnicodeEncodeError:
        return False


def _letter(letter: str, before: str, after: str) -> float:
    script = _script(letter)
    score = 0.5 if script != "LATIN" else 0.0
    for neighbour in (before, after):
        if not neighbour.isalpha() and not unicodedata.combining(neighbour):
            continue
        score += 1 if _script(neighbour) == script else -2
        if script == "LATIN" and neighbour >= "\x80":
            score -= 1  # accented letters seldom stand side by side
    if (letter.isupper() and before.islower()) or (letter.islower() and after.isupper()):
        score -= 3
    if letter.isupper() and before.isupper() and after.islower():
        score -= 3  # a word with two capitals
    if script == "LATIN" and not before.isalpha() and not after.isalpha():
        score += 0.75 if letter.lower() in _WORDS else -1
    if script in _ALONE and not before.isalpha() and not after.isalpha():
        score -= 2
    if "\uff61" <= letter <= "\uff9f":
        score -= 2  # half-width katakana
    return score


@lru_cache(4096)
def _script(letter: str) -> str:
    if letter < "\x80":
        return "LATIN"
    script = unicodedata.name(letter, "none").partition(" ")[0]
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH") else script
