"""The applications, in the order in which they are played and shown."""

from applications.debian import GoProgram, JavaProgram, PhpProgram, RubyProgram
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
    GoProgram("go", "A Go program: work queue, confirms, topics, retries, RPC, and a reconnect loop",
              "amqp091-go 1.5.0 (Debian 12: golang-github-rabbitmq-amqp091-go-dev)"),
    JavaProgram("java", "A Java program: work queue, confirms, topics, retries, RPC, and automatic recovery",
                "RabbitMQ Java client 5.0.0 (Debian 12: librabbitmq-client-java)"),
    PhpProgram("php", "A PHP program: work queue, confirms, topics, retries, RPC, and a reconnect loop",
               "php-amqplib 3.5.3 (Debian 12: php-amqplib)", packages=("php-amqplib",)),
    PhpProgram("php_amqp", "A PHP program on the extension around librabbitmq: confirms, topics, retries, RPC",
               "php-amqp 1.11.0 (Debian 12: php-amqp)", packages=("php-amqp",)),
    RubyProgram("ruby", "A Ruby program: work queue, confirms, topics, retries, RPC, and automatic recovery",
                "Bunny 2.19.0 (Debian 12: ruby-bunny)"),
]
