package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// terminal is a person's terminal with a program in it.
type terminal struct {
	e             *framework.Environment
	master, slave *os.File
	command       *exec.Cmd
	ended         chan error
	// before is how the terminal was before the program started.
	before unix.Termios

	mu     sync.Mutex
	screen strings.Builder
}

// openTerminal starts a program in a terminal of its own.
func openTerminal(e *framework.Environment, environ []string, program string, arguments ...string) *terminal {
	e.T.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	require.NoError(e.T, err)
	require.NoError(e.T, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(e.T, err)
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	require.NoError(e.T, err)
	term := &terminal{e: e, master: master, slave: slave, command: exec.Command(program, arguments...), ended: make(chan error, 1)}
	term.before = term.settings()
	term.command.Env = environ
	term.command.Stdin, term.command.Stdout, term.command.Stderr = slave, slave, slave
	term.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(e.T, term.command.Start())
	var group sync.WaitGroup
	group.Go(func() { term.ended <- term.command.Wait() })
	group.Go(term.watch)
	e.T.Cleanup(func() {
		_ = term.command.Process.Kill()
		_ = slave.Close()
		_ = master.Close()
		group.Wait()
	})
	return term
}

// watch reads what appears on the screen until the terminal is closed.
func (t *terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := t.master.Read(buffer)
		t.mu.Lock()
		t.screen.Write(buffer[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *terminal) shows(text string) {
	t.e.T.Helper()
	t.e.Eventually("the screen shows "+strconv.Quote(text), func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !strings.Contains(t.screen.String(), text) {
			return fmt.Errorf("it shows %q", t.screen.String())
		}
		return nil
	})
}

func (t *terminal) types(keys string) {
	t.e.T.Helper()
	_, err := t.master.WriteString(keys)
	require.NoError(t.e.T, err)
}

// settings are how the terminal treats keys and output.
func (t *terminal) settings() unix.Termios {
	t.e.T.Helper()
	settings, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	require.NoError(t.e.T, err)
	return *settings
}

// waitEnd waits until the program has ended and returns its exit code.
func (t *terminal) waitEnd() int {
	t.e.T.Helper()
	timer := time.NewTimer(endOfProcess)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
		require.FailNow(t.e.T, "the program does not end")
	}
	return t.command.ProcessState.ExitCode()
}

// Whatever ends a console, the terminal is as it was before.
func TestKubectlVSRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	p.WaitSettled("my-vs", v1beta1.StatusRunning)
	signal := func(signal os.Signal) func(*framework.Environment, *terminal) {
		return func(e *framework.Environment, term *terminal) {
			require.NoError(e.T, term.command.Process.Signal(signal))
		}
	}
	for _, test := range []struct {
		name string
		end  func(e *framework.Environment, term *terminal)
		code int
		says string
	}{
		{"the escape key", func(_ *framework.Environment, term *terminal) { term.types("\x1d") }, 0, "Leave with Ctrl-]"},
		{"SIGTERM", signal(syscall.SIGTERM), 0, ""},
		{"SIGQUIT", signal(syscall.SIGQUIT), 0, ""},
		{"somebody who takes over", func(e *framework.Environment, _ *terminal) {
			e.OpenConsole(e.Config, framework.Path(e.Namespace)+"/my-vs/console?takeOver=true")
		}, 1, "took the console over"},
		{"the end of the machine", func(e *framework.Environment, _ *terminal) {
			_, err := e.Operate("my-vs", "stop", `{"force":true}`)
			require.NoError(e.T, err)
		}, 1, "error: the "},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := *p.Environment
			e.T = t
			term := openTerminal(&e, p.environ, e.Plane.Binary("kubectl-vs"), "console", "my-vs", "--take-over")
			require.NotZero(t, term.before.Lflag&unix.ECHO, "a terminal echoes")
			term.shows("Connected to my-vs")
			term.types("\r")
			term.shows("login: ")
			assert.Zero(t, term.settings().Lflag&(unix.ECHO|unix.ICANON|unix.ISIG), "every key goes to the guest")
			term.types("\x03\r") // Ctrl-C is the guest's, not ours.
			term.shows("^C")

			test.end(&e, term)
			assert.Equal(t, test.code, term.waitEnd())
			term.shows(test.says)
			assert.Equal(t, term.before, term.settings())
		})
	}
}

// The console may be open in the window beside this one: its own user is asked, too, before that is ended.
func TestKubectlVSConsoleAsksBeforeItEndsASession(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	p.WaitSettled("my-vs", v1beta1.StatusRunning)
	open := func() *terminal {
		return openTerminal(p.Environment, p.environ, p.Plane.Binary("kubectl-vs"), "console", "my-vs")
	}
	first := open()
	first.shows("Connected to my-vs")
	for _, no := range []string{"n\r", "\r", "yes, but\r"} {
		second := open()
		second.shows("End that session? [y/N]")
		second.types(no)
		assert.Equal(t, 1, second.waitEnd())
		second.shows("--take-over ends that session")
	}
	third := open()
	third.shows("End that session? [y/N]")
	third.types("y\r")
	third.shows("Connected to my-vs")
	assert.NotZero(t, first.waitEnd())
	assert.Equal(t, first.before, first.settings())
	third.types("\x1d")
	assert.Zero(t, third.waitEnd())
}

// A program that writes to a pipe without a reader is killed, if it does not take care. A console ends before it writes.
func TestKubectlVSRestoresTheTerminalAfterABrokenPipe(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	p.WaitSettled("my-vs", v1beta1.StatusRunning)
	term := openTerminal(p.Environment, p.environ, "/bin/sh", "-c", `"$0" console my-vs | true`, p.Plane.Binary("kubectl-vs"))
	term.shows("Connected to my-vs")
	term.waitEnd() // Nothing is typed, and the guest says nothing that could not be written.
	assert.Equal(t, term.before, term.settings())
}

// Whatever ends a program that we run, it is asked first, the terminal is as before, and no credentials stay behind.
func TestKubectlVSEndsItsPrograms(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	for name, test := range map[string]struct {
		script string
		end    func(*terminal)
		code   int
		says   string
	}{
		"it obeys": {`trap 'echo obeyed; exit 3' TERM; stty raw -echo; echo ready; while :; do sleep 0.1; done`,
			func(term *terminal) { require.NoError(t, term.command.Process.Signal(syscall.SIGTERM)) }, 3, "obeyed"},
		"it dies of Ctrl-\\ and leaves the terminal raw": {`stty -icanon -echo; echo ready; exec sleep 60`,
			func(term *terminal) { term.types("\x1c") }, 128 + int(syscall.SIGQUIT), ""},
		"Ctrl-C is for the program": {`trap 'exit 9' TERM; trap 'sleep 0.5; exit 5' INT; echo ready; while :; do sleep 0.1; done`,
			func(term *terminal) { term.types("\x03") }, 5, ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder, temporary := t.TempDir(), t.TempDir()
			require.NoError(t, os.WriteFile(folder+"/virtctl", []byte("#!/bin/sh\n"+test.script), 0o700))
			environ := append(p.environ, "PATH="+folder+":"+os.Getenv("PATH"), "TMPDIR="+temporary)
			e := *p.Environment
			e.T = t
			term := openTerminal(&e, environ, p.Plane.Binary("kubectl-vs"), "--token", "secret", "virt", "port-forward", "my-vs")
			term.shows("ready")
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			require.Len(t, left, 1, "the kubeconfig is there while the program runs")

			test.end(term)
			assert.Equal(t, test.code, term.waitEnd())
			term.shows(test.says)
			assert.Equal(t, term.before, term.settings())
			left, err = os.ReadDir(temporary)
			require.NoError(t, err)
			assert.Empty(t, left, "the kubeconfig holds a token")
		})
	}
}
