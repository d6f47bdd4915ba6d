"""The words of the mail: the built-in ones, somebody's own, and broken ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconcile.templates.mail import (
    SAMPLES,
    MailText,
    TemplateProblem,
    read_parts,
    read_subject,
    read_templates,
)

FULL, BARE = SAMPLES
SUBJECT = "Your course {{ course_title }} is ready"


def words(place: Path | str = "", *, subject: str = SUBJECT, **facts: str) -> MailText:
    return read_templates(subject=subject, place=str(place)).render(replace(FULL, **facts))


def folder(tmp_path: Path, **parts: str) -> Path:
    for name, content in parts.items():
        (tmp_path / name.replace("_", ".")).write_text(content)
    return tmp_path


def test_the_built_in_words_say_what_one_needs() -> None:
    found = words()

    assert found.subject == 'Your course Python "Basics" & more is ready'
    for part in (found.text, found.html or ""):
        for fact in (FULL.course_url, FULL.account, FULL.payment_id):
            assert fact is not None
            assert fact in part
    assert 'Python "Basics" & more' in found.text


def test_what_is_not_known_is_not_mentioned() -> None:
    found = read_templates(subject=SUBJECT, place="").render(BARE)

    assert "Sign in" not in found.text + (found.html or "")
    assert "None" not in found.text + (found.html or "")


def test_html_is_escaped_and_text_is_not() -> None:
    found = words(course_title="<script>alert(1)</script>")

    assert found.html is not None
    assert "<script>" not in found.html
    assert "&lt;script&gt;" in found.html
    assert "<script>" in found.text


def test_a_subject_is_one_line() -> None:
    assert words(subject="{{ course_title }}\r\n\tBcc: x", course_title="A\nB").subject == "A B Bcc: x"


def test_a_folder_replaces_the_words(tmp_path: Path) -> None:
    place = folder(tmp_path, mail_txt="{{ course }}{% include 'foot.inc' %}", mail_html="<b>{{ course }}</b>")
    (tmp_path / "foot.inc").write_text(" – Ihr Team")

    found = words(place)

    assert (found.text, found.html) == ("python-basics – Ihr Team", "<b>python-basics</b>")


def test_without_an_html_part_there_is_none(tmp_path: Path) -> None:
    assert words(folder(tmp_path, mail_txt="hello")).html is None


@pytest.mark.parametrize("name", ["ready.html", "ready.txt"])
def test_a_file_names_a_pair(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path, ready_txt="text", ready_html="<p>html</p>")

    found = words(place / name)

    assert (found.text, found.html) == ("text", "<p>html</p>")


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({}, "mail.txt is missing"),
        ({"mail_html": "<p>x</p>"}, "mail.txt is missing"),
        (
            {"mail_txt": "{{ cours_title }}"},
            "mail.txt: 'cours_title' is undefined; there are: course, course_title",
        ),
        ({"mail_txt": "x", "mail_html": "line\n{% if %}"}, "mail.html, line 2: Expected an expression"),
        ({"mail_txt": "{% include 'gone.inc' %}"}, "mail.txt: there is no gone.inc"),
        ({"mail_txt": "{{ ''.__class__.mro() }}"}, "unsafe"),
        ({"mail_txt": "{{ 1 / 0 }}"}, "division by zero"),
        ({"mail_txt": " \n"}, "mail.txt comes to nothing"),
        # Only without the optional facts: both samples are tried.
        ({"mail_txt": "x{{ payment_id.upper() }}"}, "mail.txt"),
    ],
)
def test_a_broken_template_is_told_where_it_breaks(
    tmp_path: Path, parts: dict[str, str], complaint: str
) -> None:
    with pytest.raises(TemplateProblem) as caught:
        read_parts(str(folder(tmp_path, **parts)))

    assert complaint in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(TemplateProblem, match=r"mail\.txt"):
        read_parts(str(tmp_path))


def test_no_such_place(tmp_path: Path) -> None:
    with pytest.raises(TemplateProblem, match="no such file or folder"):
        read_parts(str(tmp_path / "gone"))


@pytest.mark.parametrize("line", ["{{ x }}", "{% if %}", " ", "{{ course_title * 100 }}"])
def test_a_broken_subject(line: str) -> None:
    with pytest.raises(TemplateProblem):
        read_subject(line)
