"""Topic exchanges"""

from differential.suite import for_each

PATTERNS = ["", "#", "*", "#.#", "*.*", "*.#", "#.*", "a", "a.#", "a.*", "#.b", "*.b", "#.a.#", "a.#.b",
            "a.*.b", "a..b", "a.b", "a.", ".", "#.#.#", "*.*.*", "b.#", "#.a", "a.#.#", "*.a.#"]
KEYS = {"empty": "", "a": "a", "a.b": "a.b", "a dot after": "a.", "a dot": ".", "two dots": "a..b",
        "a star": "*", "a hash": "#", "a.x.b": "a.x.b", "a.x.y.b": "a.x.y.b", "a dot before": ".a", "A": "A"}


@for_each(**KEYS)
def matches(s, key):
    """Which patterns match the routing key {row}"""
    ch = s.channel()
    ch.confirm_select()
    ch.exchange_declare("x", "topic")
    for number, pattern in enumerate(PATTERNS):
        ch.queue_declare(f"q{number}")
        ch.queue_bind(f"q{number}", "x", pattern)
    ch.publish("x", key, mandatory=True)
    ch.confirm()
    matching = []
    for number, pattern in enumerate(PATTERNS):
        if ch.count(f"q{number}").message_count:
            matching.append(pattern)
    s.note(f"matching: {matching}")
