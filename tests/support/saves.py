"""Changes: forms that an administrator saves, or calls in Python."""

import re
from datetime import UTC, datetime

APPS = {"user": "auth", "group": "auth", "room": "realtime", "membership": "realtime"}


def page(scene, model, name, view="change"):
    return f"/admin/{APPS[model]}/{model}/{scene.key(name)}/{view}/"


def keys_of(scene, values):
    """Groups and permissions are chosen by name."""
    return {
        field: [scene.key(name) for name in value] if isinstance(value, list) else value
        for field, value in values.items()
    }


def saved(model, name, /, **values):
    """The form of something is saved with other values."""
    return lambda scene: scene.admin.save(page(scene, model, name), **keys_of(scene, values))


def deleted(model, name):
    return lambda scene: scene.admin.delete(page(scene, model, name, "delete"))


def deleted_in_the_list(model, name):
    path = f"/admin/{APPS[model]}/{model}/"
    return lambda scene: scene.admin.run_action(path, "delete_selected", scene.key(name))


def user(**values):
    return saved("user", "person", **values)


def room(name, /, **values):
    return saved("room", name, **values)


def role(name, /, **values):
    """The person's row in the form of a room is changed."""

    def _change(scene):
        path = page(scene, "room", name)
        form = scene.admin.form(path)
        row = form.row("memberships", user=scene.key("person"))
        form.fill(**{row + field: value for field, value in values.items()})
        scene.admin.send(path, form)

    return _change


def role_added(name):
    def _change(scene):
        path = page(scene, "room", name)
        form = scene.admin.form(path)
        form.fill(**{form.add_row("memberships") + "user": scene.key("person")})
        scene.admin.send(path, form)

    return _change


def membership(name, /, **values):
    """The same, in the form of the membership itself."""
    return saved("membership", f"person in {name}", **values)


def membership_added(name):
    def _change(scene):
        chosen = {"room": scene.key(name), "user": scene.key("person")}
        path = "/admin/realtime/membership/add/"
        location = scene.admin.save(path, button="_continue", **chosen)
        added = f"person-{scene.number} in {name}-{scene.number}"
        scene.keys[added] = int(re.search(r"/membership/(\d+)/change/", location)[1])

    return _change


def expiry(ends):
    """A moment as the admin's two fields take it."""
    moment = datetime.fromtimestamp(ends, UTC)
    return {"expires_at_0": f"{moment:%Y-%m-%d}", "expires_at_1": f"{moment:%H:%M:%S}"}


def in_python(code):
    """Code that another process of the site runs."""
    return lambda scene: scene.pair[0].shell(f"import realtime; {code}")
