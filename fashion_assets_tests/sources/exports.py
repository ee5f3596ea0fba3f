"""The same catalogue as the systems of the field export it: from a folder in the public layout to each of their files.

`python -m fashion_assets_tests.sources.exports CATALOGUE DESTINATION [LIMIT]` writes all of them. Pictures stay where they are, and
are named as each system names them; where it has URLs, so that the name is the URL's end.

What shops do differs, and the writers vary by `habit`: where the gender stands, how categories are spelt. Sizes become variants, and
each product has a second picture.
"""

import csv
import html
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Listing = dict[str, str]
"""A listing by the public catalogue's columns, with `price`, `currency`, `brand`, `description`."""

HOST = "https://cdn.shop.example/files"
GENDERS = {
    "Men": ("male", "adult"),
    "Women": ("female", "adult"),
    "Boys": ("male", "kids"),
    "Girls": ("female", "kids"),
    "Unisex": ("unisex", "adult"),
}
GOOGLE = {
    "Apparel": "Apparel & Accessories > Clothing",
    "Footwear": "Apparel & Accessories > Shoes",
    "Accessories": "Apparel & Accessories > Clothing Accessories",
    "Personal Care": "Health & Beauty > Personal Care",
    "Sporting Goods": "Sporting Goods",
    "Home": "Home & Garden",
    "Free Items": "Apparel & Accessories",
}


def listings(folder: Path, limit: int | None = None) -> list[Listing]:
    """The sound listings of a folder, with prices and what else shops have."""
    with (folder / "styles.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
    made = []
    for row in rows[:limit]:
        chance = random.Random(row["id"])
        cents = chance.choice((99, 0, 95, 50))
        made.append(
            {
                **row,
                "price": row.get("price") or f"{chance.randrange(5, 2500)}.{cents:02}",
                "currency": row.get("currency") or "EUR",
                "brand": row.get("brand") or row["productDisplayName"].split(" ")[0],
                "description": row.get("description")
                or f'{row["productDisplayName"]}, "soft" & light.\nCare: wash at 30°, dry flat; size chart below',
            }
        )
    return made


def _sizes(row: Listing) -> Sequence[str]:
    return ("S", "M", "L") if row["masterCategory"] == "Apparel" else ("One Size",)


def _slug(row: Listing) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row["productDisplayName"].lower()).strip("-") + f"-{row['id']}"


def _html(text: str) -> str:
    lines = "".join(f"<p>{html.escape(line, quote=False)}</p>\n" for line in text.splitlines())
    return f'{lines}<table border="1"><tr><td>S</td><td>36&nbsp;cm</td></tr></table>'


def _csv(path: Path, rows: list[Listing], **dialect: object) -> Path:
    encoding = str(dialect.pop("encoding", "utf-8"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding=encoding, newline="", errors="replace") as file:
        writer = csv.DictWriter(file, names, restval="", **dialect)  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(rows)
    return path


def shopify(rows: list[Listing], to: Path, *, new: bool = False, habit: int = 0) -> Path:
    """Shopify's export: the rows of a product's variants and pictures say nothing else."""
    out: list[Listing] = []
    for row in rows:
        gender, age = GENDERS.get(row["gender"], ("", ""))
        tags = [row["season"], row["usage"], f"year:{row['year']}", "new-in", "sale"]
        more: Listing = {}
        if habit == 0:
            more = {"Google Shopping / Gender": gender, "Google Shopping / Age Group": age}
        elif habit == 1:
            tags.insert(2, f"gender:{row['gender']}")
        else:
            tags.insert(0, row["gender"])
        names = (
            "URL handle",
            "Description",
            "Product category",
            "SKU",
            "Price",
            "Product image URL",
            "Image position",
        )
        old = (
            "Handle",
            "Body (HTML)",
            "Product Category",
            "Variant SKU",
            "Variant Price",
            "Image Src",
            "Image Position",
        )
        called = dict(zip(old, names if new else old, strict=True))
        first = {
            called["Handle"]: _slug(row),
            "Title": row["productDisplayName"],
            called["Body (HTML)"]: _html(row["description"]),
            "Vendor": row["brand"],
            called["Product Category"]: GOOGLE[row["masterCategory"]],
            "Type": row["articleType"],
            "Tags": ", ".join(filter(None, tags)),
            "Published": "true",
            **more,
        }
        sizes = _sizes(row)
        for number in range(max(len(sizes), 2)):
            line = dict(first) if number == 0 else {called["Handle"]: _slug(row)}
            if number < len(sizes):
                line |= {
                    **({"Option1 Name": "Color", "Option2 Name": "Size"} if number == 0 else {}),
                    "Option1 Value": row["baseColour"],
                    "Option2 Value": sizes[number],
                    called["Variant SKU"]: f"{row['id']}-{sizes[number]}",
                    called["Variant Price"]: row["price"],
                    "Currency": row["currency"],
                }
            if number < 2:
                picture = f"{row['id']}.jpg" if number == 0 else f"{row['id']}_back.jpg"
                line |= {
                    called["Image Src"]: f"{HOST}/{picture}?v=17",
                    called["Image Position"]: str(number + 1),
                }
            out.append(line)
    return _csv(to / "products_export_1.csv", out)


def woocommerce(rows: list[Listing], to: Path, *, habit: int = 0) -> Path:
    """WooCommerce's export: variations are rows that name their parent; commas inside values have a backslash before them."""
    out: list[Listing] = []
    number = 10
    for row in rows:
        number += 1
        parent, sizes = number, _sizes(row)
        variable = len(sizes) > 1
        path = [row["masterCategory"], row["subCategory"], row["articleType"]]
        if habit == 1:
            path.insert(0, row["gender"])
        paths = [" > ".join(step.replace(",", "\\,") for step in path[: end + 1]) for end in range(len(path))]
        line = {
            "ID": str(parent),
            "Type": "variable" if variable else "simple",
            "SKU": row["id"],
            "Name": row["productDisplayName"],
            "Published": "1",
            "Is featured?": "0",
            "Short description": "",
            "Description": _html(row["description"]).replace("\n", "\\n"),
            "Sale price": "",
            "Regular price": "" if variable else row["price"],
            "Categories": ", ".join(paths),
            "Tags": ", ".join(
                filter(None, [row["season"], row["usage"]] + ([row["gender"]] if habit == 2 else []))
            ),
            "Images": f"{HOST}/{row['id']}.jpg, {HOST}/{row['id']}-back.jpg",
            "Parent": "",
            "Attribute 1 name": "Color",
            "Attribute 1 value(s)": row["baseColour"],
            "Attribute 2 name": "Gender" if habit == 0 else "Size",
            "Attribute 2 value(s)": row["gender"] if habit == 0 else ", ".join(sizes),
            "Attribute 3 name": "Brand",
            "Attribute 3 value(s)": row["brand"],
            "Meta: _currency": row["currency"],
        }
        out.append(line)
        for size in sizes if variable else ():
            number += 1
            out.append(
                {
                    "ID": str(number),
                    "Type": "variation",
                    "SKU": f"{row['id']}-{size}",
                    "Name": f"{row['productDisplayName']} - {size}",
                    "Published": "1",
                    "Regular price": row["price"],
                    "Images": f"{HOST}/{row['id']}.jpg",
                    "Parent": row["id"] if habit else f"id:{parent}",
                    "Attribute 1 name": "Size",
                    "Attribute 1 value(s)": size,
                }
            )
    return _csv(to / "wc-product-export-1-2-2026-1700000000000.csv", out)


def _google(rows: list[Listing], habit: int) -> list[Listing]:
    out = []
    for row in rows:
        gender, age = GENDERS.get(row["gender"], ("", ""))
        sizes = _sizes(row)
        for size in sizes:
            out.append(
                {
                    "id": row["id"] if len(sizes) == 1 else f"{row['id']}-{size}",
                    "title": row["productDisplayName"],
                    "description": row["description"] if habit else _html(row["description"]),
                    "link": f"https://shop.example/p/{row['id']}",
                    "image_link": f"{HOST}/{row['id']}.jpg",
                    "additional_image_link": f"{HOST}/{row['id']}_2.jpg",
                    "availability": "in_stock",
                    "price": f"{row['price']} {row['currency']}",
                    "brand": row["brand"],
                    "gender": gender,
                    "age_group": age,
                    "color": row["baseColour"],
                    "size": size,
                    "product_type": " > ".join(
                        [row["masterCategory"], row["subCategory"], row["articleType"]]
                    ),
                    "google_product_category": GOOGLE[row["masterCategory"]],
                    "item_group_id": row["id"] if len(sizes) > 1 else "",
                    "condition": "new",
                    "custom_label_0": row["season"],
                    "custom_label_1": row["usage"],
                }
            )
    return out


def google_tsv(rows: list[Listing], to: Path) -> Path:
    """A tab-separated feed, with blanks in the names as the interface shows them."""
    out = [
        {name.replace("_", " "): re.sub(r"[\t\n]+", " ", value) for name, value in row.items()}
        for row in _google(rows, 1)
    ]
    return _csv(to / "feed.tsv", out, delimiter="\t")


def google_csv(rows: list[Listing], to: Path) -> Path:
    """The same with commas, and HTML in the descriptions."""
    return _csv(to / "merchant_feed.csv", _google(rows, 0))


def google_xml(rows: list[Listing], to: Path) -> Path:
    """RSS 2.0 with Google's names."""
    path = to / "feed.xml"
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>\n'
        )
        file.write("<title>Shop</title><link>https://shop.example</link>\n")
        for row in _google(rows, 0):
            plain = ("title", "description", "link")
            inside = "".join(
                f"<{name if name in plain else 'g:' + name}>{escape(value)}</{name if name in plain else 'g:' + name}>"
                for name, value in row.items()
                if value
            )
            file.write(f"<item>{inside}</item>\n")
        file.write("</channel></rss>\n")
    return path


def json_lines(rows: list[Listing], to: Path) -> Path:
    """One object a line, with our own names of attributes; prices are numbers."""
    names = {
        "id": "external_id",
        "productDisplayName": "title",
        "masterCategory": "category",
        "subCategory": "sub_category",
        "articleType": "article_type",
        "baseColour": "colour",
    }
    path = to / "listings.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            said = {names.get(name, name): value for name, value in row.items()}
            said |= {"price": float(row["price"]), "image": f"images/{row['id']}.jpg"}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
    return path


def european(rows: list[Listing], to: Path) -> Path:
    """A spreadsheet of a European office: cp1252, semicolons, decimal commas, points between thousands, the currency in the header."""
    out = []
    for row in rows:
        whole, _, cents = row["price"].partition(".")
        said = {name: value for name, value in row.items() if name not in ("price", "currency")}
        out.append({**said, "Price (EUR)": f"{int(whole):,}".replace(",", ".") + f",{cents}"})
    return _csv(to / "styles.csv", out, delimiter=";", encoding="cp1252", lineterminator="\r\n")


def reordered(rows: list[Listing], to: Path) -> Path:
    """The public columns in another order and case, behind pipes."""
    return _csv(
        to / "styles.csv", [{name.upper(): row[name] for name in sorted(row)} for row in rows], delimiter="|"
    )


def with_details(rows: list[Listing], to: Path) -> Path:
    """The larger edition of the public catalogue: price, brand and description in `styles/ID.json`."""
    (to / "styles").mkdir()
    own = ("price", "currency", "brand", "description", "image")
    for row in rows:
        said = {
            "id": int(row["id"]),
            "price": float(row["price"]),
            "discountedPrice": float(row["price"]),
            "brandName": row["brand"],
            "masterCategory": {"id": 9, "typeName": row["masterCategory"]},
            "productDescriptors": {
                "description": {"descriptorType": "description", "value": _html(row["description"])}
            },
        }
        (to / "styles" / f"{row['id']}.json").write_text(
            json.dumps({"notification": {}, "meta": {"code": 200}, "data": said})
        )
    _csv(to / "styles.csv", [{name: value for name, value in row.items() if name not in own} for row in rows])
    return to


LAYOUTS: dict[str, tuple[str, Callable[[list[Listing], Path], Path]]] = {
    "shopify": ("shopify", shopify),
    "shopify_tagged": ("shopify", lambda rows, to: shopify(rows, to, new=True, habit=1)),
    "shopify_bare_tags": ("shopify", lambda rows, to: shopify(rows, to, new=True, habit=2)),
    "woocommerce": ("woocommerce", woocommerce),
    "woocommerce_categories": ("woocommerce", lambda rows, to: woocommerce(rows, to, habit=1)),
    "woocommerce_tags": ("woocommerce", lambda rows, to: woocommerce(rows, to, habit=2)),
    "google_tsv": ("google-merchant", google_tsv),
    "google_csv": ("google-merchant", google_csv),
    "google_xml": ("google-merchant-xml", google_xml),
    "json_lines": ("plain-json", json_lines),
    "european": ("fashion-product-images", european),
    "reordered": ("fashion-product-images", reordered),
    "with_details": ("fashion-product-images", with_details),
}
"""By name: the mapping that reads the layout, and what writes it into a folder."""


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    taken = listings(source, int(sys.argv[3]) if len(sys.argv) > 3 else None)
    for name, (mapping, write) in LAYOUTS.items():
        (target / name).mkdir(parents=True, exist_ok=True)
        print(f"{mapping:24} {write(taken, target / name)}")
