package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// escape is Ctrl-], the key that leaves the console, as in virtctl and telnet.
const escape = 0x1d

func (s *session) consoleCommand() *cobra.Command {
	var takeOver bool
	var timeout time.Duration
	command := s.named(&cobra.Command{
		Use:     "console NAME",
		Short:   "Connect to the serial console of a machine; leave it with Ctrl-]",
		Example: "  kubectl vs console my-vs",
	})
	command.Flags().BoolVar(&takeOver, "take-over", false, "end the session of whoever is connected now")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for a machine that is starting")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		return s.console(command.Context(), arguments[0], timeout, takeOver)
	}
	return command
}

func (s *session) console(ctx context.Context, name string, timeout time.Duration, takeOver bool) error {
	o := opening{name: name, path: []string{"console"}, timeout: timeout, takeOver: takeOver}
	// One's own session is ended without a word otherwise, which may well be the window beside this one. A script means it.
	o.preserve = !takeOver && isTerminal(s.In) && isTerminal(s.ErrOut)
	connection, err := s.openWhenUp(ctx, o)
	if o.preserve && apierrors.HasStatusCause(err, v1beta1.CauseSessionHeld) {
		connection, err = s.takeOverIfWanted(ctx, o, err)
	}
	if err != nil {
		return err
	}
	restore, err := s.rawTerminal()
	if err != nil {
		return err
	}
	defer restore()
	fmt.Fprintf(s.ErrOut, "Connected to %s. Leave with Ctrl-].\r\n", name)
	ctx, cancel := whileRead(ctx, s.Out)
	defer cancel()
	out := watchSilence(clock.RealClock{}, s.Out, s.ErrOut, name)
	// Only the escape key leaves a console. The end of the input does not: it may be /dev/null, or commands whose output is wanted.
	err = copyStream(ctx, connection, &escapeReader{reader: lingerFor(ctx, 0, s.In, s.Out)}, out)
	out.stop()
	fmt.Fprint(s.ErrOut, "\r\n")
	return err
}

// takeOverIfWanted asks before it ends a session. held is the refusal, which says whose it is.
func (s *session) takeOverIfWanted(ctx context.Context, o opening, held error) (*websocket.Conn, error) {
	var refused *apierrors.StatusError
	if !errors.As(held, &refused) {
		return nil, held
	}
	if !s.confirm(ctx, plain(refused.ErrStatus.Message)+". End that session?") {
		return nil, held
	}
	o.preserve, o.takeOver = false, true
	return s.openWhenUp(ctx, o)
}

// confirm asks a question on the terminal. Only a yes is one.
func (s *session) confirm(ctx context.Context, question string) bool {
	fmt.Fprintf(s.ErrOut, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() {
		// It ends with the line, or with the process.
		line, _ := bufio.NewReaderSize(s.In, 16).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false
	case answer := <-answers:
		return answer == "y" || answer == "yes"
	}
}

// rawTerminal hands every key to the guest, and returns what gives the terminal back.
func (s *session) rawTerminal() (func(), error) {
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return func() {}, nil
	}
	// A program dies at once of writing to a pipe that nobody reads, and would leave the terminal raw. Whoever listens for the
	// signal gets an error from the write instead, which ends the session. Nobody has to read from the channel.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	state, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		signal.Stop(pipes)
		return nil, fmt.Errorf("set up the terminal: %w", err)
	}
	return func() {
		if err := term.Restore(int(file.Fd()), state); err != nil {
			fmt.Fprintln(s.ErrOut, "restore the terminal with the command reset:", err)
		}
		signal.Stop(pipes)
	}, nil
}

// escapeReader ends at the escape key.
type escapeReader struct{ reader io.Reader }

// Read implements io.Reader.
func (r *escapeReader) Read(buffer []byte) (int, error) {
	n, err := r.reader.Read(buffer)
	for i, key := range buffer[:n] {
		if key == escape {
			return i, io.EOF
		}
	}
	return n, err
}
