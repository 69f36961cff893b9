"""Permissions"""

from differential.suite import needs, scenario

LIMITED = {"name": "lim", "password": "lim", "permissions": {"/": ["^mine", "^mine", "^mine"]}}


@needs(users=[LIMITED])
@scenario
def configure(s):
    """Declaring a queue needs the permission to configure it"""
    connection = s.connect(user="lim", password="lim")
    connection.channel(1).queue_declare("mine")
    connection.channel(2).queue_declare("yours")
