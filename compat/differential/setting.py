"""What a scenario may need of a broker beyond what it declares itself, and how each broker gets it.

`@needs(...)` takes, all of them optional, in the words of RabbitMQ's definitions file:

* `vhosts`: names
* `traced`: names of those among them whose messages are copied to amq.rabbitmq.trace
* `users`: `{"name", "password", "tags", "permissions": {vhost: [configure, write, read]},
  "topic_permissions": {vhost: [exchange, write, read]}, "limits": {"max-connections": 1, ...}}`;
  guest may do everything everywhere
* `policies`, `operator_policies`: `{"name", "pattern", "definition", "apply-to", "priority", "vhost"}`
* `vhost_limits`: `{vhost: {"max-queues": 1}}`
* `rabbitmq`, `leveret`: lines of rabbitmq.conf and of config.toml, for a broker process of its own
"""

import base64
import hashlib
import json
import socket
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import quote

from harness.broker import HOST, Leveret, RabbitMq, free_port
from harness.deadlines import eventually

PLUGINS = ["rabbitmq_management", "rabbitmq_consistent_hash_exchange", "rabbitmq_random_exchange",
           "rabbitmq_sharding", "rabbitmq_recent_history_exchange", "rabbitmq_event_exchange"]
POLICY_KEYS = ("pattern", "definition", "apply-to", "priority")
_CREDENTIALS = base64.b64encode(b"guest:guest").decode()


def leveret_configuration(setting):
    """config.toml and, if it is needed, RabbitMQ's definitions beside it."""
    lines = [setting.get("leveret", "")]
    if setting.get("traced"):
        lines.append(f"trace = {json.dumps(setting['traced'])}")
    vhosts = ["/", *setting.get("vhosts", [])]
    if _needs_definitions(setting):
        return "\n".join([*lines, 'load_definitions = "definitions.json"', ""]), _definitions(setting, vhosts)
    lines.append(f"vhosts = {json.dumps(vhosts)}")
    if setting.get("users"):
        lines += [_leveret_user(user) for user in [_guest(vhosts), *setting["users"]]]
    return "\n".join(lines) + "\n", {}


def _guest(vhosts):
    return {"name": "guest", "password": "guest", "tags": ["administrator"],
            "permissions": {vhost: [".*", ".*", ".*"] for vhost in vhosts}}


def _leveret_user(user):
    permissions = ", ".join(
        f"{{ vhost = {json.dumps(vhost)}, configure = {json.dumps(configure)}, write = {json.dumps(write)}, "
        f"read = {json.dumps(read)} }}"
        for vhost, (configure, write, read) in user.get("permissions", {}).items())
    topics = ", ".join(
        f"{{ vhost = {json.dumps(vhost)}, exchange = {json.dumps(exchange)}, write = {json.dumps(write)}, "
        f"read = {json.dumps(read)} }}"
        for vhost, (exchange, write, read) in user.get("topic_permissions", {}).items())
    return (f"[[users]]\nname = {json.dumps(user['name'])}\npassword = {json.dumps(user['password'])}\n"
            f"tags = {json.dumps(user.get('tags', []))}\npermissions = [{permissions}]\n"
            f"topic_permissions = [{topics}]\n" + _leveret_limits(user))


def _leveret_limits(user):
    limits = user.get("limits", {})
    return "".join(f"{name.replace('-', '_')} = {limit}\n" for name, limit in limits.items())


def _needs_definitions(setting):
    """Is there anything that is to come from definitions?"""
    of_users = any(user.get("limits") for user in setting.get("users", []))
    return of_users or any(setting.get(part) for part in ("policies", "operator_policies", "vhost_limits"))


def _definitions(setting, vhosts):
    """Everything in the format that RabbitMQ exports."""
    users = [_guest(vhosts), *setting.get("users", [])]
    operator = [{"component": "operator_policy", "vhost": policy["vhost"], "name": policy["name"],
                 "value": {key: policy[key] for key in POLICY_KEYS}}
                for policy in _policies(setting, "operator_policies")]
    limits = [{"component": "vhost-limits", "vhost": vhost, "name": "limits", "value": limits}
              for vhost, limits in setting.get("vhost_limits", {}).items()]
    return {
        "vhosts": [{"name": vhost} for vhost in vhosts],
        "users": [{"name": user["name"], "password_hash": _hash(user["password"]),
                   "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": user.get("tags", []),
                   "limits": user.get("limits", {})} for user in users],
        "permissions": [{"user": user["name"], "vhost": vhost, "configure": configure, "write": write, "read": read}
                        for user in users
                        for vhost, (configure, write, read) in user.get("permissions", {}).items()],
        "topic_permissions": [
            {"user": user["name"], "vhost": vhost, "exchange": exchange, "write": write, "read": read}
            for user in users
            for vhost, (exchange, write, read) in user.get("topic_permissions", {}).items()],
        "policies": _policies(setting, "policies"),
        "parameters": [*operator, *limits],
    }


def _policies(setting, kind):
    return [{"vhost": "/", "apply-to": "all", "priority": 0, **policy} for policy in setting.get(kind, [])]


def _hash(password):
    """As RabbitMQ keeps passwords: salt, and the SHA-256 of salt and password."""
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


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
        # AMQP answers a little earlier.
        eventually("the HTTP API listens", self._management_listens)

    def _management_listens(self):
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._management_port)) == 0

    def environment(self):
        environment = super().environment()
        # Acknowledgements that are overdue are looked for once in this time; a minute is long.
        environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += " -rabbit channel_tick_interval 500"
        return environment

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
    for vhost in setting.get("traced", []):
        yield f"vhosts/{_quoted(vhost)}", {"tracing": True}
    for user in setting.get("users", []):
        yield from _user_requests(user)
    for vhost, limits in setting.get("vhost_limits", {}).items():
        for name, value in limits.items():
            yield f"vhost-limits/{_quoted(vhost)}/{name}", {"value": value}
    for kind, path in (("policies", "policies"), ("operator_policies", "operator-policies")):
        for policy in _policies(setting, kind):
            yield (f"{path}/{_quoted(policy['vhost'])}/{_quoted(policy['name'])}",
                   {key: policy[key] for key in POLICY_KEYS})


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
