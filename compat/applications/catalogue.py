"""The applications, in the order in which they are played and shown."""

from applications.debian import Go, Java, Php, PhpExtension, Ruby

APPLICATIONS = [
    Go(),
    Java(),
    Php(),
    PhpExtension(),
    Ruby(),
]
