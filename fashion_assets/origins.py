"""Where the value of a setting comes from: an option, the environment, the file in the home, or its default.

What belongs here: reading that file, telling a setting's origin, and messages about values and names that are none. What
does not: which settings there are (`settings`).
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from fashion_assets.errors import FashionAssetsError

ENVIRONMENT_PREFIX = "FASHION_ASSETS_"

FILE_NAME = "settings.toml"
"""The file of settings, in the home."""

NEAR = 70
"""How like a known name (0 to 100) an unknown one must be to be taken for it, mistyped."""

_chosen: dict[str, tuple[str, str]] = {}
"""By variable: the value an option of this process's command gave it, and the option."""


class SettingsError(FashionAssetsError):
    """A setting is not what it may be; the message names the variable, option or line of the file, and what is wrong."""


class Origin(NamedTuple):
    """Where a value comes from, and the option, variable or line that holds it; None for a default."""

    kind: Literal["option", "environment", "file", "default"]
    where: str | None = None


class SettingsFile(PydanticBaseSettingsSource):
    """`settings.toml` of the home that the sources before it name.

    Raises `SettingsError` where it cannot be read, or names what is no setting.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not asked: the whole file is read at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        default = self.settings_cls.model_fields["home"].get_default(call_default_factory=True)
        values, lines = read_file(_expanded(self.current_state.get("home", default)))
        for name in values:
            if name == "home":
                raise SettingsError(
                    f"{lines[name]}: the file lies in the home, so it cannot say where that is; "
                    f"use --home or {variable('home')}"
                )
            if name not in self.settings_cls.model_fields:
                known = [field for field in self.settings_cls.model_fields if field != "home"]
                like = nearest(name, known)
                hint = f"did you mean {like}?" if like else f"there are {', '.join(known)}"
                raise SettingsError(f"{lines[name]}: there is no setting {name!r}; {hint}")
        return values


def _expanded(home: object) -> Path:
    return Path(os.path.expanduser(str(home)))


def read_file(home: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a home's file by name, and where each stands (`FILE, line N`); nothing where there is no file.

    Raises `SettingsError` where it cannot be read as TOML.
    """
    path = home / FILE_NAME
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}, {}
    except OSError as error:
        raise SettingsError(
            f"{shown(path)} cannot be read: {error.strerror}. Make it readable for this user, run as its owner, or choose another home with --home or "
            f"{variable('home')}."
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{shown(path)}, line {line}: this is not UTF-8, as TOML must be") from None
    import tomllib  # here: most homes have no such file

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{shown(path)} is not TOML: {error}") from None
    return values, {name: _place(path, text, name) for name in values}


def _place(path: Path, text: str, name: str) -> str:
    """Where a key stands. The file has no tables, so that a key begins its line; that of a table is looked for too."""
    key = re.compile(rf"\s*\[*\s*([\"']?){re.escape(name)}\1\s*[=.\]]")
    for number, line in enumerate(text.splitlines(), 1):
        if key.match(line):
            return f"{shown(path)}, line {number}"
    return shown(path)


def choose(field: str, value: str, option: str | None) -> None:
    """Set a setting, as an option says, for this process and every process it starts."""
    os.environ[variable(field)] = value
    if option is not None:
        _chosen[variable(field)] = value, option


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + field.upper()


def origin(field: str, home: Path) -> Origin:
    """Where the value of a setting comes from. An empty variable is one not set. Raises `SettingsError`."""
    given = {name.upper(): value for name, value in os.environ.items()}.get(variable(field))
    if given:
        value, option = _chosen.get(variable(field), (None, ""))
        return Origin("option", option) if value == given else Origin("environment", variable(field))
    _, lines = read_file(home)
    return Origin("file", lines[field]) if field in lines else Origin("default")


def tidy_variables() -> None:
    """Take variables that hold nothing out of the environment: whoever sets one so means the default. Of others take the quotes off that
    a file of variables had around them: a shell does, docker (`--env-file`) and systems' services do not."""
    for name, value in list(os.environ.items()):
        if not name.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        plain = unquoted(value)
        if not plain:
            del os.environ[name]
        elif plain != value.strip():
            os.environ[name] = plain


def unquoted(value: str) -> str:
    """A value without blanks around it, nor a pair of quotes."""
    value = value.strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def strange_variables(fields: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """What to tell of variables that look like settings and are none; they may be another version's."""
    known = {variable(field): field for field in fields}
    told = []
    for name in environment:
        if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known:
            like = nearest(name[len(ENVIRONMENT_PREFIX) :], known.values())
            told.append(f"{name} is no setting" + (f"; did you mean {variable(like)}?" if like else ""))
    return told


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name an unknown one was most likely meant to be, or None."""
    from rapidfuzz import fuzz, process  # here: needed where something is wrong only

    found = process.extractOne(
        name.lower(), list(known), scorer=fuzz.ratio, processor=str.lower, score_cutoff=NEAR
    )
    return None if found is None else found[0]


def explained(
    error: ValidationError, home: object, given: Mapping[str, Any], settings: type[BaseSettings]
) -> str:
    """What is wrong with the values, in one line: each with where it comes from.

    Args:
        home: as far as it is known.
        given: values that the code gave by itself.
        settings: the class the values are of.
    """
    return "; ".join(_explained(dict(each), home, given, settings) for each in error.errors())


def _explained(
    error: dict[str, Any], home: object, given: Mapping[str, Any], settings: type[BaseSettings]
) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    kind, where = ("default", None) if field in given else origin(field, _expanded(home))
    place = f"{where}: {field}" if kind == "file" else where or field
    told = f"{place}: {error['msg'].removeprefix('Value error, ')}"
    if field in settings.model_fields and "Secret" in str(settings.model_fields[field].annotation):
        return told
    return f"{told} (it is {str(error['input'])[:80]!r})"


def shown(path: object) -> str:
    """A path as it can be printed, whatever its bytes."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")
