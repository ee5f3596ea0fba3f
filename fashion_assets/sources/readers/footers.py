"""Lines with which exports end, and that are none of their rows: counts, totals, marks of the end, who made it when.

What belongs here: telling such a line by its words. What does not: where a table ends, and rows (`records`).
"""

import re

LONGEST = 200
"""Characters of such a line."""

MOST_STATED = 3
"""Fields of such a line that state anything, where it is filled up with delimiters."""

_COUNTED = (
    "rows?|records?|entr(?:y|ies)|lines?|items?|products?|listings?|articles?|results?|variants?|zeilen?|datens[aä]tze?|eintr[aä]ge?|artikel|"
    "produkte?|lignes?|enregistrements?|produits?|filas?|registros?|l[ií]neas?|art[ií]culos?|productos?|righe|prodotti|articoli|linhas?|registos?|"
    "produtos?|rijen|regels?|artikelen|producten|rader|poster|wierszy|строк[аи]?|записей|товаров"
)
_TOTAL = (
    "(?:grand[ -]?|sub[ -]?|end|zwischen)?(?:totals?|totale|totaal|summen?|sum|somme|suma|soma|razem|celkem|toplam)|gesamt(?:summe|zahl|betrag)?|"
    "insgesamt|average|avg|mean|durchschnitt|mittelwert|moyenne|promedio|count|anzahl|nombre|aantal|итого|всего|合計|小計|总计|合计|總計"
)
_NUMBER = r"[-+]?\d[\d.,' \u00a0]*"
_MONEY = rf"(?:[^\W\d_]{{3}}|[€$£¥₹])?\s*{_NUMBER}\s*(?:[^\W\d_]{{3}}|[€$£¥₹%])?"
_MADE = (
    "generated|exported|created|printed|extracted|produced|downloaded|erstellt|exportiert|erzeugt|generiert|gedruckt|généré|exporté|créé|imprimé|"
    "generado|exportado|creado|impreso|generato|esportato|creato|stampato|gerado|criado|gegenereerd|aangemaakt"
)
_OF_A_FILE = "file|export|report|data|list|listing|table|records?|document|transmission|feed|output|results?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_NUMBER}\s*(?:{_COUNTED})\b.{{0,60}}",
        rf"(?:(?:no\. of|[^\W\d_]{{2,12}})\s+){{0,2}}(?:{_COUNTED})(?:\s+[^\W\d_]{{2,12}}){{0,2}}\s*[:=]?\s*{_NUMBER}",
        rf"(?:{_TOTAL})(?:\s+[^\W\d_]{{2,12}}){{0,2}}\s*[:=]?\s*(?:{_MONEY}\s*){{0,3}}(?:{_COUNTED})?",
        rf"(?:end|eof|ende|dateiende|fin|einde|конец|end[ -]?of[ -]?(?:the )?(?:{_OF_A_FILE})\b.{{0,40}})",
        r"(?:ende de[rs] \w+|fin d[eu]l? \w+|fine (?:del )?\w+|fim do \w+)",
        rf"(?:(?:{_OF_A_FILE}|datei|liste|bericht)\s+)?(?:{_MADE})(?:\s*[:=]|\s+(?:by|on|at|from|with|am|von|mit|aus|um|le|par|el|por|il|da|op|door|em)\b|\s+\d).*",
        r"(?:(?:export|report|print)?[ -]?(?:date|time)|datum|stand|as of|fecha|data|zeit|uhrzeit)\s*[:=]?\s*\d.{0,60}",
        r"(?:page|seite|página|pagina|blatt)\s*\d+(?:\s*(?:/|of|von|de|di|van)\s*\d+)?",
        r"(?:trailer|trl|tlr|footer)\b.{0,100}",
        r"(?:checksum|md5|sha-?\d+|crc(?:32)?)\s*[:=]?\s*[0-9a-f]{6,128}",
        r"(?:time|elapsed|duration|completion time|total execution time|query(?: ok| took)?)\b.{0,80}",
        r"(?:©|copyright|\(c\)|confidential|vertraulich)(?:\W.{0,150})?",
    )
)
_AROUND = "\"'#*;/=_.|+()[]<>-–—~ \t\r\n\\,"  # noqa: RUF001


def is_footer(text: str, rows: int | None = None) -> bool:
    """Whether a line, its delimiters made blanks, is such: `(6 rows)`, `Total: 1,234.00`, `-- end of export --`. `rows` before it: of a line
    that is filled up with no delimiters; then it may be their number alone, or a rule."""
    if len(text) > LONGEST:
        return False
    said = text.strip(_AROUND)
    if not said:
        return rows is not None
    return said == str(rows) or any(form.fullmatch(said) for form in _FORMS)
