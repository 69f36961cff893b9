"""The suites, in the order in which they are played and listed."""

from clients.suites.amqpstorm import AmqpStorm
from clients.suites.oslo_messaging import OsloMessaging

SUITES = [AmqpStorm(), OsloMessaging()]
