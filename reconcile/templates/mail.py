"""The words of the mail to a learner: a subject, a text part and an HTML part, from Jinja templates.

Knows nothing of addresses, servers or headers. Jinja is imported when the first template is read:
commands that send no mail do not pay for it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

BUILT_IN = Path(__file__).parent
#: The parts of a template folder; the HTML part may be left out.
TEXT, HTML = "mail.txt", "mail.html"
_HTML_SUFFIXES = (".html", ".htm")
#: Longer subjects are cut by mail programs anyway; this keeps a broken template from filling a header.
_LONGEST_SUBJECT = 250


class TemplateProblem(ValueError):
    """A template that cannot be used; the message says which one, where, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a template may say: its variables, by these names."""

    course: str  #: the slug
    course_title: str  #: as the LMS has it; the slug where the LMS did not tell
    course_url: str
    lms_url: str
    enrollment_id: str  #: the shop's order
    payment_id: str | None = None
    account: str | None = None  #: with which address the learner signs in to the LMS


@dataclass(frozen=True, kw_only=True)
class MailText:
    """One mail's words. `subject` is one line; `html` is None where the templates have no such part."""

    subject: str
    text: str
    html: str | None = None


class MailTemplates:
    """The templates of one shop, read and compiled. Thread-safe."""

    def __init__(self, *, subject: Template, text: Template, html: Template | None) -> None:
        self._subject = subject
        self._text = text
        self._html = html

    def render(self, facts: Facts) -> MailText:
        """The words for one mail. Raises TemplateProblem; may be repeated."""
        values = asdict(facts)
        subject = " ".join(_rendered(self._subject, "the subject", values).split())
        if not subject or len(subject) > _LONGEST_SUBJECT:
            raise TemplateProblem(f"the subject must come to 1 to {_LONGEST_SUBJECT} letters")
        return MailText(
            subject=subject,
            text=_rendered(self._text, self._text.name or TEXT, values),
            html=_rendered(self._html, self._html.name or HTML, values) if self._html is not None else None,
        )


#: What the templates are tried with before they are believed: everything known, and only what always is.
_SAMPLE = Facts(
    course="python-basics",
    course_title='Python "Basics" & more',
    course_url="https://lms.example.com/lms/courses/python-basics",
    lms_url="https://lms.example.com",
    enrollment_id="0123456789abcdef01234567",
)
SAMPLES = (
    Facts(**asdict(_SAMPLE) | {"payment_id": "pi_123", "account": "sam@example.com"}),
    _SAMPLE,
)


def read_subject(line: str) -> Template:
    """Compile and try the subject's line. Raises TemplateProblem."""
    subject = _compiled(lambda: _environment(None, html=False).from_string(line), "the subject")
    for facts in SAMPLES:
        MailTemplates(subject=subject, text=subject, html=None).render(facts)
    return subject


def read_parts(place: str) -> tuple[Template, Template | None]:
    """Compile and try the text and HTML parts at `place`; the built-in ones where it is empty.

    `place` is a folder with `mail.txt` and, if there is to be HTML, `mail.html`; or the path of one
    of such a pair under any name. Raises TemplateProblem.
    """
    folder, text_name, html_name = _find(Path(place) if place else BUILT_IN)
    text = _compiled(lambda: _environment(folder, html=False).get_template(text_name), text_name)
    html = None
    if (folder / html_name).exists():
        html = _compiled(lambda: _environment(folder, html=True).get_template(html_name), html_name)
    for facts in SAMPLES:
        for part, name in ((text, text_name), (html, html_name)):
            if part is not None and not _rendered(part, name, asdict(facts)).strip():
                raise TemplateProblem(f"{name} comes to nothing")
    return text, html


def read_templates(*, subject: str, place: str) -> MailTemplates:
    """The templates of `read_subject` and `read_parts`. Raises TemplateProblem."""
    text, html = read_parts(place)
    return MailTemplates(subject=read_subject(subject), text=text, html=html)


def _find(path: Path) -> tuple[Path, str, str]:
    """The folder and the names of the two parts."""
    if path.is_dir():
        folder, text, html = path, TEXT, HTML
    elif path.suffix.lower() in _HTML_SUFFIXES:
        folder, text, html = path.parent, f"{path.stem}.txt", path.name
    else:
        folder, text, html = path.parent, path.name, f"{path.stem}.html"
    if not path.exists():
        raise TemplateProblem("there is no such file or folder; name a folder with mail.txt and mail.html")
    if not (folder / text).is_file():
        raise TemplateProblem(
            f"{text} is missing beside it: a mail needs a text part, HTML alone is not read"
        )
    return folder, text, html


def _environment(folder: Path | None, *, html: bool) -> Any:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        autoescape=html,
        undefined=StrictUndefined,
        loader=FileSystemLoader(folder) if folder is not None else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _compiled(compile_it: Any, name: str) -> Template:
    try:
        template: Template = compile_it()
    except Exception as error:  # whatever Jinja makes of somebody's file
        raise _problem(error, name) from error
    return template


def _rendered(template: Template, name: str, values: dict[str, Any]) -> str:
    try:
        return template.render(values)
    except Exception as error:  # a template may divide by zero
        raise _problem(error, name) from error


def _problem(error: Exception, name: str) -> TemplateProblem:
    from jinja2 import TemplateNotFound, UndefinedError

    line = getattr(error, "lineno", None)
    where = f"{getattr(error, 'name', None) or name}, line {line}" if line else name
    what = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, TemplateNotFound):
        what = f"there is no {error.name}"
    if isinstance(error, UndefinedError):
        what += f"; there are: {', '.join(field.name for field in fields(Facts))}"
    return TemplateProblem(f"{where}: {what}")
