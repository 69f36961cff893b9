"""Programs as users write them for RabbitMQ, in many languages, on any broker."""
