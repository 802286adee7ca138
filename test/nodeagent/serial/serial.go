// Package serial is the terminal of a simulated guest: a login prompt and a
// small shell on a serial line, with bulk modes that measure a connection.
package serial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// bufferBytes is large enough for bulk transfers to run at the speed of the
// connection.
const bufferBytes = 64 << 10

// maxLineBytes bounds what a client can make the guest remember.
const maxLineBytes = 4096

// Control characters of a terminal.
const (
	interrupt = 0x03
	endOfFile = 0x04
	backspace = 0x08
	killLine  = 0x15
	deletion  = 0x7f
)

// errHangup ends a session in good order.
var errHangup = errors.New("the line was hung up")

// terminal is one connection to the serial line.
type terminal struct {
	in    *bufio.Reader
	out   *bufio.Writer
	shell Shell
	// afterReturn is set after a carriage return: a line feed that follows it
	// belongs to the same end of line.
	afterReturn bool
}

// Serve runs a terminal on the connection until the peer leaves, the guest
// ends the line, or the context ends. Closing the connection is what ends a
// blocked read, so Serve closes it.
func Serve(ctx context.Context, conn io.ReadWriteCloser, system System) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	t := &terminal{
		in:    bufio.NewReaderSize(conn, bufferBytes),
		out:   bufio.NewWriterSize(conn, bufferBytes),
		shell: Shell{System: system},
	}
	err := t.run()
	// The last words are lost if the connection is; err says why it ended.
	_ = t.out.Flush()
	if errors.Is(err, errHangup) || errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return err
}

func (t *terminal) run() error {
	for {
		t.print("\r\nSimulated guest of the VirtualServer node agent, %s ttyS0\r\n\r\n", t.shell.System.Hostname())
		if err := t.session(); err != nil {
			return err
		}
	}
}

// session is one login; a nil error asks for the next one.
func (t *terminal) session() error {
	user := ""
	for {
		prompt := "login: "
		if user != "" {
			prompt = fmt.Sprintf("%s@%s:~$ ", user, t.shell.System.Hostname())
		}
		t.print("%s", prompt)
		line, err := t.readLine()
		if err != nil {
			return err
		}
		if user == "" {
			if line == "" {
				continue
			}
			if !IsCommand(line) {
				user = strings.Fields(line)[0]
				t.print("Welcome, %s. Type help for the commands.\r\n", user)
				continue
			}
			// A command at the login prompt is run: it saves scripts a step.
			user = "root"
		}
		again, err := t.command(line)
		if err != nil || !again {
			return err
		}
	}
}

// command runs a line; again is false after a logout or a reboot.
func (t *terminal) command(line string) (again bool, err error) {
	done, err := t.bulk(line)
	if done || err != nil {
		return true, err
	}
	output, next := t.shell.Run(line)
	t.print("%s", strings.ReplaceAll(output, "\n", "\r\n"))
	switch next {
	case Stay:
		return true, nil
	case Hangup:
		return false, errHangup
	}
	return false, nil
}

func (t *terminal) print(format string, arguments ...any) {
	// A failed write shows up in the next Flush.
	_, _ = fmt.Fprintf(t.out, format, arguments...)
}

// readByte flushes the output before it blocks.
func (t *terminal) readByte() (byte, error) {
	if t.in.Buffered() == 0 {
		if err := t.out.Flush(); err != nil {
			return 0, err
		}
	}
	return t.in.ReadByte()
}

// readLine reads and echoes a line the way a terminal driver does.
func (t *terminal) readLine() (string, error) {
	var line []byte
	for {
		b, err := t.readByte()
		if err != nil {
			return "", err
		}
		wasReturn := t.afterReturn
		t.afterReturn = false
		switch {
		case b == '\n' && wasReturn:
		case b == '\r' || b == '\n':
			t.afterReturn = b == '\r'
			t.print("\r\n")
			return strings.TrimSpace(string(line)), nil
		case b == backspace || b == deletion:
			if len(line) > 0 {
				line = line[:len(line)-1]
				t.print("\b \b")
			}
		case b == interrupt:
			t.print("^C\r\n")
			return "", nil
		case b == endOfFile:
			if len(line) == 0 {
				t.print("\r\n")
				return "exit", nil
			}
		case b == killLine:
			t.print("%s", strings.Repeat("\b \b", len(line)))
			line = line[:0]
		case b >= ' ' && len(line) < maxLineBytes:
			line = append(line, b)
			_ = t.out.WriteByte(b)
		}
	}
}
