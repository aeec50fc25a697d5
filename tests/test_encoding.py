"""Encodings that nothing declares: letters are right, or a note says that they were guessed, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from rag.sources.plain.encoding import decode_noted
from rag.sources.plain.legacy import guess_encoding
from tests.conftest import ROOT
from tests.files import load, reason

CASES = ROOT / "tests" / "data" / "cases" / "encodings"

TEXTS = {
    "German": (
        "cp1252 latin-1",
        "Die Fähre fährt um sieben Uhr früh. Für Schüler ist die Überfahrt außer sonntags frei.",
    ),
    "French": ("cp1252", "Le bac part à sept heures du matin. Les élèves ne paient pas l’été, mais il faut réserver."),
    "Spanish": (
        "cp1252",
        "El transbordador sale a las siete de la mañana. Los niños pequeños no pagan después del día seis.",
    ),
    "Portuguese": (
        "cp1252",
        "A balsa sai às sete da manhã. As crianças não pagam, e os cães também são aceites a bordo.",
    ),
    "Swedish": (
        "cp1252",
        "Färjan går klockan sju på morgonen. Små barn åker gratis, och för hundar är det också fritt.",
    ),
    "Danish": (
        "cp1252",
        "Færgen går klokken syv om morgenen. Små børn kører gratis, og det er også frit for hunde på øen.",
    ),
    "Finnish": (
        "cp1252",
        "Lautta lähtee aamulla kello seitsemän. Lapset pääsevät ilmaiseksi, mutta se ei käy enää syyskuussa.",
    ),
    "Polish": (
        "cp1250 iso8859_2",
        "Prom odpływa o siódmej rano. Dzieci nie płacą, a bilet można kupić też w kiosku przy przystani.",
    ),
    "Czech": (
        "cp1250",
        "Přívoz odjíždí v sedm hodin ráno. Děti neplatí a lístek je možné koupit také v kiosku na nábřeží.",
    ),
    "Hungarian": (
        "cp1250",
        "A komp reggel hétkor indul. A gyerekek nem fizetnek, és a jegyet őszig a bódéban is meg lehet venni.",
    ),
    "Romanian": (
        "cp1250",
        "Bacul pleacă la ora şapte dimineaţa. Copiii nu plătesc, iar biletul se poate cumpăra şi de la chioşc.",
    ),
    "Lithuanian": (
        "cp1257",
        "Keltas išplaukia septintą valandą ryto. Vaikai nemoka, o bilietą galima nusipirkti ir kioske prie upės.",
    ),
    "Latvian": (
        "cp1257",
        "Prāmis atiet septiņos no rīta. Bērni nemaksā, un biļeti var nopirkt arī kioskā pie upes krasta.",
    ),
    "Turkish": (
        "cp1254",
        "Feribot sabah yedide kalkıyor. Çocuklar için ücret yok ve bilet iskeledeki büfeden de alınabilir, değil mi?",
    ),
    "Russian": (
        "cp1251 koi8_r cp866 iso8859_5",
        "Паром уходит в семь часов утра. Дети не платят, а билет можно купить и в киоске.",
    ),
    "Ukrainian": (
        "cp1251 koi8_u",
        "Пором відходить о сьомій ранку. Діти не платять, а квиток можна придбати і в кіоску.",
    ),
    "Bulgarian": (
        "cp1251",
        "Фериботът тръгва в седем сутринта. Децата не плащат, а билет може да се купи и от будката.",
    ),
    "Greek": ("cp1253 iso8859_7", "Το πλοίο φεύγει στις επτά το πρωί. Τα παιδιά δεν πληρώνουν εισιτήριο."),
    "Hebrew": ("cp1255", "המעבורת יוצאת בשבע בבוקר. ילדים אינם משלמים ואפשר לקנות כרטיס גם בדוכן."),
    "Arabic": ("cp1256", "تغادر العبارة في الساعة السابعة صباحا. الأطفال لا يدفعون ويمكن شراء التذكرة من الكشك."),
    "Thai": ("cp874", "เรือข้ามฟากออกเวลาเจ็ดโมงเช้า เด็กไม่ต้องจ่ายเงิน"),
    "Chinese": ("gbk big5", "渡船早上七點離開碼頭。票價是三元,小孩不用買票,狗也可以上船。"),
    "Japanese": ("cp932 euc_jp", "渡船は朝七時に港を出ます。切符は三百円です。子供は無料です。"),
    "Korean": ("cp949", "나룻배는 아침 일곱 시에 떠납니다. 어린이는 요금을 내지 않습니다."),
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_language_in_its_old_encodings(language: str, tmp_path: Path, settings: Settings) -> None:
    encodings, text = TEXTS[language]
    for encoding in encodings.split():
        data = (f"{text} " * 4).strip().encode(encoding, "ignore")
        (tmp_path / "a.txt").write_bytes(data)
        document = load(tmp_path / "a.txt", settings)
        assert document.page_content == data.decode(encoding), encoding
        (note,) = document.metadata["notes"]
        assert language in note or guess_encoding(data)
        assert "declared" in note


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Preis: 5 €\n", "cp1252"),
        ("item;price\nbread;2,50 €\nmilk;1,20 €\n", "cp1252"),
        ("Price: £45 per night, £12 for a dog.\n", "cp1252"),
        ("It’s closed on Mondays. Guests leave their keys “under the pot”.\n", "cp1252"),
        ("Room 1 – single – 40 EUR\nRoom 2 – double – 60 EUR\n", "cp1252"),
        ("• Bring boots\n• Bring a lamp\n• No dogs\n", "cp1252"),
        ("station,temp\nDavos,-8 °C\nChur,1 °C\n", "cp1252"),
        ("© 2026 Clay Co. All rights reserved.\n", "cp1252"),
        ("Öffnungszeiten: Mo–Fr 9–17 Uhr\nEintritt: 5 €, Kinder 2 €\n", "cp1252"),
        ("Navn;Sted\nØyvind;Bodø\nBjørg;Tromsø\nKåre;Hønefoss\n", "cp1252"),
        ("Código;Descripción\n1;Jamón\n2;Piña\n", "cp1252"),
        ("Ville;Coût\nNîmes;5 €\nBesançon;7 €\n", "iso8859_15"),
        ("产品,价格\n苹果,3\n香蕉,2\n", "gbk"),
        ("Το πλοίο φεύγει στις επτά.\n", "cp737"),
    ],
)
def test_a_short_file_with_signs_or_few_letters(text: str, encoding: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    document = load(tmp_path / "a.txt", settings)
    assert document.page_content == text.strip() and document.metadata["notes"]


def test_short_texts_are_right_or_said_to_be_guessed(tmp_path: Path, settings: Settings) -> None:
    """Every window of 40 characters of these texts, in every encoding: none may be wrong without a word."""
    counts = {"right": 0, "guessed": 0, "refused": 0, "wrong": 0}
    for encodings, text in TEXTS.values():
        for encoding in encodings.split():
            for start in range(0, len(text) - 40, 7):
                data = text[start : start + 40].encode(encoding, "ignore")
                try:
                    data.decode("utf-8")
                    continue  # plain ASCII
                except UnicodeDecodeError:
                    found = guess_encoding(data)
                right = found is not None and data.decode(found.encoding) == data.decode(encoding)
                kind = "refused" if found is None else "right" if right else "wrong" if found.sure else "guessed"
                counts[kind] += 1
    total = sum(counts.values())
    assert total > 200
    assert counts["wrong"] <= total / 200 and counts["right"] >= 0.93 * total, counts


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cn_gbk.txt", "渡轮早上七点离开码头"),
        ("gr_1253.txt", "Το πλοίο φεύγει στις επτά το πρωί."),
        ("jp_sjis.txt", "渡船は朝七時に港を出ます。"),
        ("kr_949.csv", "이름: 김철수 | 도시: 부산"),
    ],
)
def test_the_cases(name: str, said: str, settings: Settings) -> None:
    document = load(CASES / name, settings)
    assert said in document.page_content and "\ufffd" not in document.page_content
    assert "no encoding is declared" in document.metadata["notes"][0]


def test_what_is_declared_or_utf8_needs_no_note(tmp_path: Path, settings: Settings) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"):
        for text in (
            "Größe 10 und mehr",
            "渡船は 7 時に\n港を 出ます。 300 円です。\n",
            "Паром уходит в семь.\nВот так.",
        ):
            (tmp_path / "a.txt").write_bytes(text.encode(encoding))
            document = load(tmp_path / "a.txt", settings)
            assert document.page_content == text.strip() and "notes" not in document.metadata, encoding


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(language: str, encoding: str, tmp_path: Path, settings: Settings) -> None:
    text = TEXTS[language][1] * 2
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert load(tmp_path / "a.txt", settings).page_content == text


@pytest.mark.parametrize("text", ["Да", "茶价", "切符は三百円", "어린이", "姓名,城市\n张三,上海\n李四,北京\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_too_little_utf16_is_refused(text: str, encoding: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    said = reason(tmp_path / "a.txt", settings)
    assert "its encoding cannot be told" in said or "binary data" in said


def test_east_asian_text_in_seven_bits(tmp_path: Path, settings: Settings) -> None:
    for encoding, text in (("iso2022_jp", "渡船は朝七時です。"), ("iso2022_kr", "나룻배는 아침"), ("hz", "渡轮 早上")):
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        assert load(tmp_path / "a.txt", settings).page_content == text


def test_damaged_utf8_is_not_read_as_something_else(tmp_path: Path, settings: Settings) -> None:
    text = "Die Größe der Straße überraschte Jörg. " * 20
    (tmp_path / "a.txt").write_bytes(text.encode()[:300] + b"\xff" + text.encode()[300:])
    document = load(tmp_path / "a.txt", settings)
    assert document.page_content.count("Größe") >= 19 and "Ã" not in document.page_content
    assert document.metadata["notes"] == ["1 characters are damaged (they are no UTF-8) and left out"]


def test_what_no_encoding_fits_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(128, 256)) * 20)
    assert "its encoding cannot be told" in reason(tmp_path / "a.txt", settings)
    (tmp_path / "b.txt").write_bytes(b"\x00\x01\x02\x03" * 500)
    assert "binary data" in reason(tmp_path / "b.txt", settings)


UNDECIDABLE = [
    ("cp1250", "A komp hétkor indul az őszi"),
    ("iso8859_2", "ťřď"),
    ("koi8_r", "Да"),
    ("cp1251", "Ия"),
    ("cp932", "茶"),
    ("euc_kr", "차"),
    ("gbk", "茶价"),
]
"""Texts that fit several encodings: too short, or all of letters that are in others, too."""


@pytest.mark.parametrize(("encoding", "text"), UNDECIDABLE)
def test_what_fits_several_encodings_is_refused(encoding: str, text: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    said = reason(tmp_path / "a.txt", settings)
    assert "its encoding cannot be told" in said and "save it as UTF-8 and add it again" in said
    plain = b"The price list of the harbour office follows in this file. " * 40
    (tmp_path / "b.txt").write_bytes(plain + text.encode(encoding) + b"\n" + plain)
    (note,) = load(tmp_path / "b.txt", settings).metadata["notes"]
    assert "save the file as UTF-8" in note


def test_servers_that_say_latin_1_of_utf8() -> None:
    assert decode_noted("Größe".encode(), "iso-8859-1") == ("Größe", "")
    assert decode_noted("Größe".encode("latin-1"), "iso-8859-1") == ("Größe", "")
