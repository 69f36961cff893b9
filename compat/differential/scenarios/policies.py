"""Policies and limits"""

from differential.suite import for_each, needs, scenario


def limited(**definition):
    return [{"name": "p", "pattern": "^q", "apply-to": "queues", "definition": definition}]


@needs(policies=limited(**{"max-length": 2}))
@for_each(**{"no argument": None, "a lower argument": 1, "a higher argument": 5})
def length(s, argument):
    """The lower of policy and argument limits a queue's length: {row}"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q", arguments={} if argument is None else {"x-max-length": argument})
    for body in ("1", "2", "3"):
        ch.publish("", "q", body)
        ch.confirm()
    ch.count("q")
    ch.get("q", no_ack=True)


@needs(policies=limited(**{"max-length": 1, "overflow": "reject-publish"}))
@for_each(**{"the policy refuses": None, "the argument drops": "drop-head"})
def overflow(s, argument):
    """A classic queue's argument wins for the overflow: {row}"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q", arguments={} if argument is None else {"x-overflow": argument})
    for body in ("1", "2"):
        ch.publish("", "q", body)
        ch.confirms()
    ch.get("q", no_ack=True)


@needs(policies=limited(**{"max-length": 5}),
       operator_policies=[{"name": "o", "pattern": "", "apply-to": "queues", "definition": {"max-length": 1}}])
@scenario
def operator(s):
    """An operator's policy caps a user's"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q", arguments={"x-max-length": 3})
    for body in ("1", "2"):
        ch.publish("", "q", body)
        ch.confirm()
    ch.get("q", no_ack=True)
    ch.count("q")


@needs(policies=[{"name": "low", "pattern": "^q", "priority": 1, "definition": {"max-length": 1}},
                 {"name": "high", "pattern": "^q", "priority": 2, "definition": {"message-ttl": 60000}}])
@scenario
def priority(s):
    """The policy with the highest priority is in force alone"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q")
    for body in ("1", "2"):
        ch.publish("", "q", body)
        ch.confirm()
    ch.count("q")


@needs(policies=limited(**{"message-ttl": 60, "dead-letter-exchange": "", "dead-letter-routing-key": "dead"}))
@scenario
def dead_letters(s):
    """Messages expire and are dead-lettered by policy"""
    ch = s.channel()
    ch.queue_declare("dead")
    ch.queue_declare("q")
    ch.consume("dead", "c", no_ack=True)
    ch.publish("", "q", "m")
    ch.deliveries(1)


@needs(policies=limited(**{"dead-letter-exchange": "nowhere", "dead-letter-routing-key": "dead"}))
@scenario
def dead_letter_argument(s):
    """An argument wins for the dead letter exchange, the policy still gives the key"""
    ch = s.channel()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-dead-letter-exchange": ""})
    ch.consume("dead", "c", no_ack=True)
    ch.publish("", "q", "m")
    got = ch.get("q")
    ch.reject(got.delivery_tag, requeue=False)
    ch.deliveries(1)


@needs(policies=[{"name": "p", "pattern": "^x", "apply-to": "exchanges",
                  "definition": {"alternate-exchange": "spill"}}])
@for_each(**{"none of its own": None, "one of its own": "nowhere"})
def alternate(s, argument):
    """An exchange spills by policy unless it says where itself: {row}"""
    ch = s.channel()
    ch.queue_declare("spilled")
    ch.exchange_declare("spill", "fanout")
    ch.queue_bind("spilled", "spill", "")
    ch.exchange_declare("x", "direct", arguments={} if argument is None else {"alternate-exchange": argument})
    ch.publish("x", "nobody", "m", mandatory=True)
    ch.fence()
    ch.count("spilled")


@needs(policies=[{"name": "p", "pattern": "", "apply-to": "all",
                  "definition": {"alternate-exchange": "amq.fanout"}}])
@scenario
def alternate_of_the_default(s):
    """The default exchange spills nowhere"""
    ch = s.channel()
    ch.queue_declare("spilled")
    ch.queue_bind("spilled", "amq.fanout", "")
    ch.publish("", "nobody", "m", mandatory=True)
    ch.returned()
    ch.count("spilled")


@needs(policies=[{"name": "p", "pattern": "^q", "apply-to": "queues",
                  "definition": {"delivery-limit": 1, "max-length": 1}}])
@scenario
def not_for_classic(s):
    """A policy with a quorum queue's key is not for classic queues at all"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q")
    for body in ("1", "2"):
        ch.publish("", "q", body)
        ch.confirm()
    ch.count("q")


@needs(vhosts=["small"], vhost_limits={"small": {"max-queues": 1}})
@scenario
def queues_of_a_virtual_host(s):
    """A virtual host takes no more queues than its limit; one that is there may be declared again"""
    ch = s.connect(vhost="small").channel()
    ch.queue_declare("a")
    ch.queue_declare("a")
    ch.queue_declare("b")


@needs(vhosts=["small"], vhost_limits={"small": {"max-queues": 0}})
@scenario
def no_queues(s):
    """A limit of 0 allows none"""
    s.connect(vhost="small").channel().queue_declare("a")


@needs(users=[{"name": "lim", "password": "lim", "permissions": {"/": [".*", ".*", ".*"]},
               "limits": {"max-channels": 1}}])
@scenario
def channels_of_a_user(s):
    """A user opens no more channels than allowed"""
    connection = s.connect(user="lim", password="lim")
    connection.channel(1)
    connection.channel(2)
