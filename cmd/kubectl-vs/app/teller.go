package app

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/meta"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/meter"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// teller tells a person who waits how the machine is: a line for each change and, on a terminal, a bar for the import that is drawn
// over itself.
type teller struct {
	out      io.Writer
	terminal bool
	meter    meter.Meter
	last     string
	// drawn says that the cursor stands behind a bar.
	drawn bool
}

func newTeller(out io.Writer) *teller { return &teller{out: out, terminal: isTerminal(out)} }

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// tell tells of a change.
func (t *teller) tell(vs *v1beta1.VirtualServer, now time.Time) {
	line, bar := progress(vs), ""
	if imported := vs.Status.Import; t.terminal && imported != nil && !meta.IsStatusConditionTrue(vs.Status.Conditions, v1beta1.ConditionDataImported) {
		bar = t.meter.Draw(imported.Progress, now)
	}
	switch {
	case bar != "":
		fmt.Fprintf(t.out, "\r\x1b[K%s  %s", now.Format(time.TimeOnly), bar)
		t.drawn, t.last = true, line
	case line != t.last:
		t.end()
		t.last = line
		fmt.Fprintf(t.out, "%s  %s\n", now.Format(time.TimeOnly), line)
	}
}

// end leaves the line of a bar.
func (t *teller) end() {
	if t.drawn {
		fmt.Fprintln(t.out)
		t.drawn = false
	}
}
