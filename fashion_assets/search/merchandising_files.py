"""A merchant's decisions as a file, in TOML: to be reviewed as a difference, kept beside other files, brought to another installation.

What belongs here: writing and reading it. What does not: whether decisions can be followed, and keeping them (`merchandising`).

Who decided and when stays behind: whoever brings a file in decides what is in it.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from fashion_assets.search.merchandising import MerchandisingError
from fashion_assets.warehouse.merchandising import Rule, Synonym

MOST_BYTES = 10 * 1024 * 1024

_HEAD = """\
# What a merchant decided about search: fashion-assets merchandising import FILE
"""

_SYNONYM = {"id": str, "words": list, "becomes": list, "note": str}
_RULE = {
    **{
        "id": str,
        "action": str,
        "words": str,
        "filters": list,
        "product": str,
        "place": int,
        "products": list,
    },
    **{"factor": float, "from": datetime, "until": datetime, "note": str},
}


def written(synonyms: Sequence[Synonym], rules: Sequence[Rule], names: Mapping[UUID, str]) -> str:
    """Decisions as a file, by their ids; products as `names` has them, which is `source/id`."""
    parts = [_HEAD]
    for each in sorted(synonyms, key=lambda each: each.id):
        parts.append(
            _table(
                "synonyms", {"id": each.id, "words": each.words, "becomes": each.becomes, "note": each.note}
            )
        )
    for each in sorted(rules, key=lambda each: each.id):
        product = each.product and names.get(each.product, str(each.product))
        values = {
            **{"id": each.id, "action": each.action, "words": each.words, "filters": each.filters},
            **{"product": product, "place": each.place, "products": each.products, "factor": each.factor},
            **{"from": each.starts_at, "until": each.ends_at, "note": each.note},
        }
        parts.append(_table("rules", values))
    return "\n".join(parts)


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"[[{name}]]"]
    for key, value in values.items():
        if value is None or value in ("", []):
            continue
        if isinstance(value, datetime):
            text = value.isoformat(timespec="seconds")
        else:
            # What JSON writes of texts, numbers and lists of texts is TOML as well.
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def read(data: bytes, product: Callable[[str], UUID]) -> list[Synonym | Rule]:
    """The decisions of a file; `product` says which product is meant. Raises `MerchandisingError`, which says where and what."""
    if len(data) > MOST_BYTES:
        raise MerchandisingError(f"the file has {len(data):,} bytes; {MOST_BYTES:,} are the most")
    try:
        given = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MerchandisingError(f"the file is no TOML: {error}") from None
    if strange := given.keys() - {"synonyms", "rules"}:
        raise MerchandisingError(f"the file has {min(strange)!r}; it may have [[synonyms]] and [[rules]]")
    found: list[Synonym | Rule] = []
    known: set[str] = set()
    for name, fields in (("synonyms", _SYNONYM), ("rules", _RULE)):
        entries = given.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise MerchandisingError(f"{name!r} is to be a list of tables, [[{name}]]")
        for number, each in enumerate(entries, 1):
            where = f"[[{name}]] number {number}"
            values = {key: _value(where, key, value, fields) for key, value in each.items()}
            if "id" not in values:
                raise MerchandisingError(f"{where} has no id")
            if values["id"] in known:
                raise MerchandisingError(f"{where} has the id {values['id']!r}, as another has")
            known.add(values["id"])
            if name == "synonyms":
                if "words" not in values:
                    raise MerchandisingError(f"{where} has no words")
                found.append(Synonym(**values))
                continue
            if "action" not in values:
                raise MerchandisingError(f"{where} has no action: pin, hide or boost")
            if "product" in values:
                values["product"] = product(values["product"])
            for written_as, field in (("from", "starts_at"), ("until", "ends_at")):
                if written_as in values:
                    values[field] = values.pop(written_as)
            found.append(Rule(**values))
    return found


def _value(where: str, key: str, value: Any, fields: Mapping[str, type]) -> Any:
    wanted = fields.get(key)
    if wanted is None:
        raise MerchandisingError(f"{where} has {key!r}; it may have {', '.join(fields)}")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is datetime and isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    is_right = isinstance(value, wanted) and not isinstance(value, bool)
    if isinstance(value, list):
        is_right = is_right and all(isinstance(each, str) for each in value)
    if not is_right:
        kinds = {
            str: "a text",
            list: "a list of texts",
            int: "a whole number",
            float: "a number",
            datetime: "a time",
        }
        raise MerchandisingError(f"{where}: {key} is to be {kinds[wanted]}, not {str(value)[:40]!r}")
    return value
