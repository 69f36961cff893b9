package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

// askForRestart has the compatibility harness restart the broker. Of all this program it is the
// only part that is not a user's.
func askForRestart() {
	socket, err := net.Dial("unix", os.Getenv("COMPAT_CONTROL"))
	check(err)
	defer socket.Close()
	fmt.Fprintln(socket, "restart")
	answer, err := bufio.NewReader(socket).ReadString('\n')
	check(err)
	expect("the harness", answer, "ok\n")
}
