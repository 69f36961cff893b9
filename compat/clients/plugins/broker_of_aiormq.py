"""The two fixtures that aiormq's own repository takes from a container, as its source distribution lacks them."""

import os
from types import SimpleNamespace

import pytest
from yarl import URL

NOTHING_LISTENS = 1


@pytest.fixture(scope="session")
def rabbitmq_container():
    ports = {"5672/tcp": int(os.environ["AMQP_PORT"]), "5671/tcp": NOTHING_LISTENS}
    return SimpleNamespace(host="127.0.0.1", ports=ports)


@pytest.fixture(scope="session")
def amqp_direct_url(rabbitmq_container):
    return URL.build(scheme="amqp", user="guest", password="guest", host=rabbitmq_container.host,
                     port=rabbitmq_container.ports["5672/tcp"], path="//")
