"""The applications, in the order in which they are played and shown."""

from applications.programs import NodeProgram, PythonProgram, ShellProgram

APPLICATIONS = [
    PythonProgram("celery", "A Celery worker: tasks, retries, ETA, chords, remote control, autoscale",
                  "celery 5.7.0 (PyPI)", shows=("tasks.py", "workers.py", "program.py")),
    PythonProgram("celery_restart", "A Celery worker and its clients through a restart of the broker",
                  "celery 5.7.0 (PyPI)", beside="celery", program="restart.py", expects="expected-restart.txt",
                  shows=("restart.py",), restarts=True),
    PythonProgram("kombu", "kombu: simple queues, routing, a mailbox, a producer and a consumer through a restart",
                  "kombu 5.7.0 (PyPI)", restarts=True),
    PythonProgram("aio_pika", "aio-pika: robust connections through a restart and a kill, RPC, work, transactions",
                  "aio-pika 10.2.1 (PyPI)", restarts=True),
    NodeProgram("node", "Node.js: confirms, refusals, returns, replies, and a connection manager through a restart",
                "amqplib 2.3.1, amqp-connection-manager 5.0.0 (npm)", shows=("program.js", "confirms.js", "manager.js"),
                restarts=True),
    ShellProgram("amqp_tools", "Messages from a shell: declare, publish, get, consume, delete",
                 "amqp-tools 0.11.0 (Debian)"),
]
