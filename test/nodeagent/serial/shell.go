package serial

import (
	"fmt"
	"strings"
	"time"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// System is what the shell can see of the machine and do to it.
type System interface {
	Hostname() string
	Uptime() time.Duration
	Disks() []guest.Disk
	PowerOff()
	Reboot()
	Panic()
}

// Next is what happens to a terminal after a command.
type Next int

// Stay keeps the session, Logout asks for a new login, Hangup ends the line.
const (
	Stay Next = iota
	Logout
	Hangup
)

// Shell runs command lines.
type Shell struct{ System System }

const help = `echo TEXT        repeats the text
hostname, uptime, uname, lsblk
poweroff         shuts the guest down from inside
reboot           restarts the operating system
panic            stops the kernel with an error
sink BYTES       reads raw bytes, then prints their SHA-256
source BYTES     sends raw bytes, then prints their SHA-256
cat [BYTES]      sends back what it reads
exit             ends the session
`

// IsCommand tells whether the line starts with a command of the shell.
func IsCommand(line string) bool {
	words := strings.Fields(line)
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "echo", "hostname", "uptime", "uname", "lsblk", "poweroff", "shutdown", "reboot", "panic",
		"sink", "source", "cat", "exit", "logout", "help", "true":
		return true
	}
	return false
}

// Run runs one line. Lines in the output end with a line feed.
func (s Shell) Run(line string) (output string, next Next) {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch name {
	case "", "true":
		return "", Stay
	case "help":
		return help, Stay
	case "echo":
		return unquote(strings.TrimSpace(rest)) + "\n", Stay
	case "hostname":
		return s.System.Hostname() + "\n", Stay
	case "uptime":
		return fmt.Sprintf("up %s, load average: 0.00, 0.00, 0.00\n", s.System.Uptime().Truncate(time.Second)), Stay
	case "uname":
		return fmt.Sprintf("Linux %s simulated x86_64 GNU/Linux\n", s.System.Hostname()), Stay
	case "lsblk":
		return s.blockDevices(), Stay
	case "poweroff", "shutdown":
		s.System.PowerOff()
		return "Reached target Power-Off.\n", Hangup
	case "panic":
		s.System.Panic()
		return "Kernel panic - not syncing: sysrq triggered crash\n", Hangup
	case "reboot":
		s.System.Reboot()
		return "Reached target Reboot.\n", Logout
	case "exit", "logout":
		return "logout\n", Logout
	}
	return fmt.Sprintf("%s: command not found\n", name), Stay
}

func (s Shell) blockDevices() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-6s %-20s %-14s %s\n", "NAME", "SERIAL", "SIZE", "TYPE")
	for _, disk := range s.System.Disks() {
		size := "?"
		if disk.Bytes > 0 {
			size = fmt.Sprint(disk.Bytes)
		}
		fmt.Fprintf(&b, "%-6s %-20s %-14s disk\n", disk.Target, disk.Serial, size)
	}
	return b.String()
}

// unquote drops one pair of quotes around the whole text, as far as a real
// shell's rules matter here.
func unquote(text string) string {
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	return text
}
