"""The admin as a browser uses it: pages are read, their forms filled in and sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

_BUTTONS = ("submit", "button", "reset", "image", "file")
_TICKABLE = ("checkbox", "radio")


@dataclass
class Form:
    """A form as it is on the page, with the values that a browser would send unchanged."""

    id: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """The names of all fields, including those that a browser would not send."""

    def fill(self, **values: Any) -> None:
        """True and False tick and untick a box; a list is what is chosen of many."""
        for name, value in values.items():
            assert name in self.names, f"{name} is not in the form: {sorted(self.names)}"
            if isinstance(value, bool):
                self.fields[name] = ["on"] if value else []
            else:
                self.fields[name] = list(map(str, value if isinstance(value, list) else [value]))

    def row(self, inline: str, **having: Any) -> str:
        """The prefix of the field names in the row that has these values."""
        for number in range(int(self.fields[f"{inline}-TOTAL_FORMS"][0])):
            prefix = f"{inline}-{number}-"
            if all(self.fields.get(prefix + key) == [str(value)] for key, value in having.items()):
                return prefix
        raise AssertionError(f"no row of {inline} has {having}")

    def add_row(self, inline: str) -> str:
        """Add a row as the page's script does: the fields of the template, numbered."""
        total = self.fields[f"{inline}-TOTAL_FORMS"]
        prefix, template = f"{inline}-{total[0]}-", f"{inline}-__prefix__-"
        for name in [name for name in self.names if name.startswith(template)]:
            new = prefix + name.removeprefix(template)
            self.names.add(new)
            self.fields[new] = list(self.fields.get(name, ()))
        total[0] = str(int(total[0]) + 1)
        return prefix


class _Page(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.errors: list[str] = []
        self._form: Form | None = None
        self._select: tuple[str, bool] | None = None
        self._first_option: str | None = None
        self._textarea: str | None = None
        self._in_errors = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "ul" and "errorlist" in (given.get("class") or ""):
            self._in_errors = True
        if tag == "form":
            self._form = Form(given.get("id") or "")
            self.forms.append(self._form)
        elif self._form is not None and "disabled" not in given:
            self._field(tag, given, self._form)

    def _field(self, tag: str, given: dict[str, str | None], form: Form) -> None:
        name = given.get("name") or ""
        if tag == "option" and self._select is not None:
            self._option(given, form)
        elif not name:
            return
        elif tag == "select":
            self._select, self._first_option = (name, "multiple" in given), None
        elif tag == "textarea":
            self._textarea = name
            form.fields[name] = [""]
        elif tag == "input" and given.get("type") not in _BUTTONS:
            if given.get("type") not in _TICKABLE:
                form.fields[name] = [given.get("value") or ""]
            elif "checked" in given:
                form.fields[name] = [given.get("value") or "on"]
        else:
            return
        form.names.add(name)

    def _option(self, given: dict[str, str | None], form: Form) -> None:
        assert self._select is not None
        name, several = self._select
        value = given.get("value") or ""
        if "selected" in given:
            form.fields.setdefault(name, []).append(value)
        elif self._first_option is None and not several:
            self._first_option = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea":
            self._textarea = None
        elif tag == "ul":
            self._in_errors = False
        elif tag == "select" and self._select is not None:
            name, _ = self._select
            # A browser sends the first of a list in which nothing is chosen.
            if self._form is not None and self._first_option is not None:
                self._form.fields.setdefault(name, [self._first_option])
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None and self._form is not None:
            self._form.fields[self._textarea][0] += data
        if self._in_errors and data.strip():
            self.errors.append(data.strip())


@dataclass
class Browser:
    """Keeps cookies, reads pages and sends their forms, each with its CSRF token."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def session_key(self) -> str:
        return self.cookies["sessionid"]

    def sign_in(self, username: str, password: str) -> Browser:
        form = self.form("/admin/login/")
        form.fill(username=username, password=password)
        self.send("/admin/login/", form)
        return self

    def sign_in_over(self, username: str, password: str) -> None:
        """Sign in while somebody else is signed in, who does not sign out."""
        form = self.form("/admin/password_change/", id="logout-form")
        form.fields |= {"username": [username], "password": [password]}
        self.send("/admin/login/", form)

    def sign_out(self) -> None:
        form = self.form("/admin/password_change/", id="logout-form")
        status, _, _ = self._request("POST", "/admin/logout/", form)
        assert status == 200, f"signing out was answered with {status}"

    def form(self, path: str, id: str | None = None) -> Form:
        """The form with `id` on the page `path`; else the page's own one."""
        return _find(self.read(path), id)

    def read(self, path: str) -> str:
        """The HTML of the page `path`."""
        status, _, html = self._request("GET", path)
        assert status == 200, f"{path} was answered with {status}"
        return html

    def send(self, path: str, form: Form) -> str:
        """Send a form and return the page that it leads to. Fails if the form is shown again."""
        status, location, html = self._request("POST", path, form)
        assert status == 302, f"{path} was answered with {status}: {_Page(html).errors}"
        return location

    def save(self, path: str, *, button: str = "_save", **values: Any) -> str:
        """Change fields of the form on the page `path` and press a button; as `send`."""
        form = self.form(path)
        form.fill(**values)
        form.fields[button] = ["1"]
        location = self.send(path, form)
        assert location != path, f"{path} was not accepted"
        return location

    def delete(self, path: str) -> None:
        """Confirm a page that asks whether to delete something."""
        self.send(path, self.form(path))

    def run_action(self, path: str, action: str, *keys: int) -> None:
        """Run an action on rows of a list, and confirm it."""
        form = self.form(path, id="changelist-form")
        form.fill(action=action, _selected_action=list(keys))
        status, _, html = self._request("POST", path, form)
        assert status == 200, f"{action} was answered with {status}"
        self.send(path, _find(html, None))

    def _request(self, method: str, path: str, form: Form | None = None) -> tuple[int, str, str]:
        body, headers = None, {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if form is not None:
            body = urlencode(form.fields, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Referer"] = self.url + path
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            for cookie in response.headers.get_all("Set-Cookie", ()):
                self.cookies |= {key: morsel.value for key, morsel in SimpleCookie(cookie).items()}
            location = response.headers.get("Location", "")
            return response.status, location, response.read().decode()
        finally:
            connection.close()


def _find(html: str, id: str | None) -> Form:
    """The form with `id`; else the one that is not the header's, of those that have a token."""
    for form in _Page(html).forms:
        wanted = form.id == id if id is not None else form.id != "logout-form"
        if wanted and "csrfmiddlewaretoken" in form.names:
            return form
    raise AssertionError(f"the page has no form {id or ''}")
