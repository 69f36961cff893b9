"""Declaring and deleting exchanges"""

from differential.suite import for_each, scenario


@for_each(direct="direct", fanout="fanout", topic="topic", headers="headers")
def each_type(s, type):
    """A {row} exchange can be declared, and declared again"""
    ch = s.channel()
    ch.exchange_declare("x", type)
    ch.exchange_declare("x", type)


@scenario
def passive_missing(s):
    """A passive declare of a missing exchange is refused"""
    s.channel().exchange_declare("nope", passive=True)


@scenario
def unknown_type(s):
    """A type that does not exist is refused"""
    s.channel().exchange_declare("x", "bogus")


@scenario
def reserved_name(s):
    """A new name that begins with amq. is refused"""
    s.channel().exchange_declare("amq.mine")


@scenario
def inequivalent_type(s):
    """Declaring again with another type is refused"""
    ch = s.channel()
    ch.exchange_declare("x", "direct")
    ch.exchange_declare("x", "fanout")


@scenario
def delete_missing(s):
    """Deleting a missing exchange succeeds"""
    s.channel().exchange_delete("nope")
