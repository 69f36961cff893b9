"""The suites, in the order in which they are played and listed: the longest of a tier first."""

from clients.suites.aio_pika import AioPika
from clients.suites.aiormq import Aiormq
from clients.suites.amqp091_go import Amqp091Go
from clients.suites.amqplib import Amqplib
from clients.suites.amqpstorm import AmqpStorm
from clients.suites.amqpy import Amqpy
from clients.suites.bunny import Bunny
from clients.suites.celery import Celery
from clients.suites.kombu import Kombu
from clients.suites.oslo_messaging import OsloMessaging
from clients.suites.php_amqp import PhpAmqp
from clients.suites.php_amqplib import PhpAmqplib
from clients.suites.pika_acceptance import PikaAcceptance
from clients.suites.pika_in_depth import SUITES as PIKA_IN_DEPTH
from clients.suites.py_amqp import PyAmqp
from clients.suites.rabbitmq_c import RabbitmqC
from clients.suites.rabbitpy import Rabbitpy
from clients.suites.rust import Amqprs, Lapin

SUITES = [
    Kombu(), Amqplib(), PyAmqp(), Rabbitpy(), Amqpy(), RabbitmqC(), *PIKA_IN_DEPTH,
    AioPika(), Celery(), Aiormq(), Bunny(), PhpAmqp(), PhpAmqplib(), Amqprs(), AmqpStorm(), OsloMessaging(),
    PikaAcceptance(), Lapin(), Amqp091Go(),
]
