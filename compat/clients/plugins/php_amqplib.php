<?php
// Stands in for Composer's autoloader in php-amqplib's suite: its own classes from its source, phpseclib from Debian.

require_once 'phpseclib3/autoload.php';

spl_autoload_register(static function (string $class): void {
    $folders = ['PhpAmqpLib\\Tests\\' => 'tests/', 'PhpAmqpLib\\' => 'PhpAmqpLib/'];
    foreach ($folders as $prefix => $folder) {
        $file = getcwd() . '/' . $folder . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require_once $file;
            return;
        }
    }
});

require_once 'tests/config.php';
require_once 'tests/php_compat_71.php';
