"""The suites, in the order in which they are played and listed."""

from clients.suites.aio_pika import AioPika
from clients.suites.aiormq import Aiormq
from clients.suites.amqp091_go import Amqp091Go
from clients.suites.amqpstorm import AmqpStorm
from clients.suites.bunny import Bunny
from clients.suites.celery import Celery
from clients.suites.oslo_messaging import OsloMessaging
from clients.suites.php_amqp import PhpAmqp
from clients.suites.rust import Amqprs, Lapin

SUITES = [
    AmqpStorm(), OsloMessaging(),
    Aiormq(), AioPika(), Celery(), Lapin(), Amqprs(), Amqp091Go(), Bunny(), PhpAmqp(),
]
