"""Limits of users and virtual hosts"""

from differential.suite import needs, scenario

EVERYTHING = {"/": [".*", ".*", ".*"]}
ONE_CONNECTION = {"name": "lim", "password": "lim", "permissions": EVERYTHING, "limits": {"max-connections": 1}}
ONE_CHANNEL = {"name": "lim", "password": "lim", "permissions": EVERYTHING, "limits": {"max-channels": 1}}
NO_CONNECTION = {"name": "lim", "password": "lim", "permissions": EVERYTHING, "limits": {"max-connections": 0}}


@needs(users=[ONE_CONNECTION])
@scenario
def connections_of_a_user(s):
    """A user opens no more connections than allowed"""
    first = s.connect(user="lim", password="lim")
    s.connect(user="lim", password="lim")
    s.connect()
    first.channel(1).fence()


@needs(users=[NO_CONNECTION])
@scenario
def no_connection_of_a_user(s):
    """A user who may open no connection"""
    s.connect(user="lim", password="lim")


@needs(users=[ONE_CHANNEL])
@scenario
def channels_of_a_user(s):
    """A user opens no more channels than allowed"""
    connection = s.connect(user="lim", password="lim")
    connection.channel(1)
    connection.channel(2)


@needs(users=[ONE_CHANNEL])
@scenario
def channels_of_a_user_over_connections(s):
    """All connections of a user count together"""
    first = s.connect(user="lim", password="lim")
    first.channel(1)
    second = s.connect(user="lim", password="lim")
    second.channel(1)


@needs(vhosts=["small"], vhost_limits={"small": {"max-connections": 0}})
@scenario
def no_connection_to_a_vhost(s):
    """A virtual host that takes no connection"""
    s.connect(vhost="small")


@needs(vhosts=["small"], vhost_limits={"small": {"max-queues": 1}})
@scenario
def queues_of_a_vhost(s):
    """A virtual host holds no more queues than allowed"""
    ch = s.connect(vhost="small").channel(1)
    ch.queue_declare("q")
    ch.queue_declare("q")
    ch.queue_declare("r")
    ch = ch.reopen()
    ch.queue_delete("q")
    ch.queue_declare("r")


@needs(vhosts=["small"], vhost_limits={"small": {"max-queues": 0}})
@scenario
def server_named_over_the_limit(s):
    """A limit holds for queues that the server names"""
    ch = s.connect(vhost="small").channel(1)
    ch.queue_declare("", exclusive=True)
