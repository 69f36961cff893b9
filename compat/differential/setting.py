"""What a scenario may need of a broker beyond what it declares itself, and how each broker gets it.

`@needs(...)` takes, all of them optional, in the words of RabbitMQ's definitions file:

* `vhosts`: names
* `users`: `{"name", "password", "tags", "permissions": {vhost: [configure, write, read]},
  "topic_permissions": {vhost: [exchange, write, read]}, "limits": {"max-connections": 1, ...}}`;
  guest may do everything everywhere
* `policies`, `operator_policies`: `{"name", "pattern", "definition", "apply-to", "priority", "vhost"}`
* `vhost_limits`: `{vhost: {"max-queues": 1}}`
* `rabbitmq`, `leveret`: lines of rabbitmq.conf and of config.toml, for a broker process of its own
"""

import base64
import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import quote

from harness.broker import HOST, Leveret, RabbitMq, free_port

PLUGINS = ["rabbitmq_management", "rabbitmq_consistent_hash_exchange", "rabbitmq_random_exchange",
           "rabbitmq_sharding", "rabbitmq_recent_history_exchange", "rabbitmq_event_exchange"]
_CREDENTIALS = base64.b64encode(b"guest:guest").decode()


def leveret_configuration(setting):
    """config.toml and, where it needs one, the definitions beside it."""
    lines = [setting.get("leveret", "")]
    vhosts = ["/", *setting.get("vhosts", [])]
    lines.append(f"vhosts = {json.dumps(vhosts)}")
    definitions = _definitions(setting)
    if definitions:
        lines.append('load_definitions = "definitions.json"')
    if setting.get("users"):
        everything = {vhost: [".*", ".*", ".*"] for vhost in vhosts}
        guest = {"name": "guest", "password": "guest", "tags": ["administrator"], "permissions": everything}
        lines += [_leveret_user(user) for user in [guest, *setting["users"]]]
    return "\n".join(lines) + "\n", definitions


def _leveret_user(user):
    permissions = ", ".join(
        f"{{ vhost = {json.dumps(vhost)}, configure = {json.dumps(configure)}, write = {json.dumps(write)}, "
        f"read = {json.dumps(read)} }}"
        for vhost, (configure, write, read) in user.get("permissions", {}).items())
    return (f"[[users]]\nname = {json.dumps(user['name'])}\npassword = {json.dumps(user['password'])}\n"
            f"tags = {json.dumps(user.get('tags', []))}\npermissions = [{permissions}]\n" + _leveret_limits(user))


def _leveret_limits(user):
    limits = user.get("limits", {})
    return "".join(f"{name.replace('-', '_')} = {limit}\n" for name, limit in limits.items())


def _policies(setting, kind):
    return [{"vhost": "/", "apply-to": "all", "priority": 0, **policy} for policy in setting.get(kind, [])]


def _definitions(setting):
    """What Leveret reads in RabbitMQ's format; none if there is nothing of it."""
    policies = _policies(setting, "policies")
    parameters = [{"component": "operator_policy", "vhost": policy["vhost"], "name": policy["name"],
                   "value": {key: policy[key] for key in ("pattern", "definition", "apply-to", "priority")}}
                  for policy in _policies(setting, "operator_policies")]
    parameters += [{"component": "vhost-limits", "vhost": vhost, "name": "limits", "value": limits}
                   for vhost, limits in setting.get("vhost_limits", {}).items()]
    topics = [{"user": user["name"], "vhost": vhost, "exchange": exchange, "write": write, "read": read}
              for user in setting.get("users", [])
              for vhost, (exchange, write, read) in user.get("topic_permissions", {}).items()]
    found = {"policies": policies, "parameters": parameters, "topic_permissions": topics}
    return {name: part for name, part in found.items() if part}


class SetLeveret(Leveret):
    """Leveret with a setting, as a process of its own."""

    def __init__(self, binary, extra_arguments, setting):
        self._setting = setting
        super().__init__(binary, extra_arguments)

    def start(self):
        if self._setting and "--config" not in self.extra_arguments:
            configuration, definitions = leveret_configuration(self._setting)
            (self.home / "config.toml").write_text(configuration)
            (self.home / "definitions.json").write_text(json.dumps(definitions))
            self.extra_arguments += ["--config", str(self.home / "config.toml")]
        super().start()


class RecordingNode(RabbitMq):
    """A RabbitMQ node with the exchange plugins, set up through its HTTP API."""

    def __init__(self, configuration=""):
        self._management_port = free_port()
        self._configuration = configuration
        super().__init__()

    def start(self):
        (self.home / "rabbitmq.conf").write_text(
            f"management.tcp.ip = {HOST}\nmanagement.tcp.port = {self._management_port}\n"
            f"{self._configuration}\n")
        super().start()

    def enabled_plugins(self):
        return PLUGINS

    @contextmanager
    def set_up(self, setting):
        """Applies a setting, and takes it back."""
        applied = []
        try:
            for path, content in _requests(setting):
                self._request("PUT", path, content)
                applied.append(path)
            yield
        finally:
            for path in reversed(applied):
                if not path.startswith("permissions/guest"):
                    self._request("DELETE", path.split("?")[0])

    def _request(self, method, path, content=None):
        request = urllib.request.Request(
            f"http://{HOST}:{self._management_port}/api/{path}", method=method,
            data=json.dumps(content).encode() if content is not None else None,
            headers={"Authorization": f"Basic {_CREDENTIALS}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            if method != "DELETE" or error.code != 404:
                raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def _requests(setting):
    """PUTs for the HTTP API, in an order that works."""
    for vhost in setting.get("vhosts", []):
        yield f"vhosts/{_quoted(vhost)}", {}
        yield f"permissions/{_quoted(vhost)}/guest", {"configure": ".*", "write": ".*", "read": ".*"}
    for user in setting.get("users", []):
        yield from _user_requests(user)
    for vhost, limits in setting.get("vhost_limits", {}).items():
        for name, value in limits.items():
            yield f"vhost-limits/{_quoted(vhost)}/{name}", {"value": value}
    for kind, path in (("policies", "policies"), ("operator_policies", "operator-policies")):
        for policy in _policies(setting, kind):
            yield (f"{path}/{_quoted(policy['vhost'])}/{_quoted(policy['name'])}",
                   {key: policy[key] for key in ("pattern", "definition", "apply-to", "priority")})


def _user_requests(user):
    name = _quoted(user["name"])
    yield f"users/{name}", {"password": user["password"], "tags": ",".join(user.get("tags", []))}
    for vhost, (configure, write, read) in user.get("permissions", {}).items():
        yield (f"permissions/{_quoted(vhost)}/{name}",
               {"configure": configure, "write": write, "read": read})
    for vhost, (exchange, write, read) in user.get("topic_permissions", {}).items():
        yield (f"topic-permissions/{_quoted(vhost)}/{name}",
               {"exchange": exchange, "write": write, "read": read})
    for limit, value in user.get("limits", {}).items():
        yield f"user-limits/{name}/{limit}", {"value": value}


def _quoted(name):
    return quote(name, safe="")
