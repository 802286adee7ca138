package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// settle is how long the product rests before it is weighed: garbage collectors return memory late.
const settle = 30 * time.Second

// atOnce is how many machines are made, or consoles opened, at the same time.
const atOnce = 8

// idle is one console on which nothing happens.
type idle struct {
	name       string
	connection *websocket.Conn
	// heard gets what the guest says, and ended why the console is gone.
	heard chan string
	ended chan error
}

// Many consoles stay open for long without a byte, and then each of them still answers. A console is exclusive, so each has a
// machine of its own.
func TestIdleConsoles(t *testing.T) {
	e := framework.New(t)
	e.Context = t.Context()
	count, hold := number(t, "CONSOLES", 20), period(t, "HOLD", time.Minute)
	names := makeMachines(t, e, count)
	keep(t, e, settle)
	before := weigh(t, e)

	consoles := make([]*idle, count)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() (err error) {
			consoles[i], err = openIdle(e, name)
			return err
		})
	}
	require.NoError(t, group.Wait())
	t.Cleanup(func() {
		for _, console := range consoles {
			_ = console.connection.Close()
		}
	})
	t.Logf("%d consoles are open", count)
	keep(t, e, settle)
	open := weigh(t, e)
	t.Logf("they stay for %v", hold)
	keep(t, e, hold)
	after := weigh(t, e)

	answered := 0
	for _, console := range consoles {
		if assert.NoError(t, console.answers(), console.name) {
			answered++
		}
	}
	t.Logf("%d of %d answer", answered, count)
	report(count, hold, before, open, after)
}

func makeMachines(t *testing.T, e *framework.Environment, count int) []string {
	t.Helper()
	names := make([]string, count)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range names {
		names[i] = fmt.Sprintf("idle-%03d", i)
		group.Go(func() error {
			vs := framework.Minimal(names[i], func(vs *v1beta1.VirtualServer) {
				vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
			})
			_, err := e.Client().Create(e.Context, vs, metav1.CreateOptions{})
			return err
		})
	}
	require.NoError(t, group.Wait())
	start := time.Now()
	e.Within(30*time.Minute, "every machine runs", func() error {
		list, err := e.Client().List(e.Context, metav1.ListOptions{})
		if err != nil {
			return err
		}
		running := 0
		for i := range list.Items {
			if list.Items[i].Status.PrintableStatus == v1beta1.StatusRunning {
				running++
			}
		}
		if running < count {
			return fmt.Errorf("%d of %d run", running, count)
		}
		return nil
	})
	t.Logf("%d machines ran after %v", count, time.Since(start).Round(time.Second))
	return names
}

func openIdle(e *framework.Environment, name string) (*idle, error) {
	var connection *websocket.Conn
	var last error
	// A server that has much to do may ask to be asked again.
	err := wait.PollUntilContextTimeout(e.Context, time.Second, framework.DefaultTimeout, true, func(ctx context.Context) (bool, error) {
		connection, _, last = framework.Dial(ctx, e.Config, framework.Path(e.Namespace)+"/"+name+"/console?wait=60")
		return last == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, errors.Join(err, last))
	}
	console := &idle{name: name, connection: connection, heard: make(chan string, 16), ended: make(chan error, 1)}
	// Reading answers pings. It ends with the connection.
	go func() {
		for {
			_, message, err := connection.ReadMessage()
			if err != nil {
				console.ended <- err
				return
			}
			select {
			case console.heard <- string(message):
			default: // Nobody listens yet.
			}
		}
	}()
	return console, nil
}

// answers types a command and waits for the guest's answer.
func (c *idle) answers() error {
	for len(c.heard) > 0 {
		<-c.heard
	}
	if err := c.connection.WriteMessage(websocket.BinaryMessage, []byte("echo still-here\r")); err != nil {
		return err
	}
	timeout := time.NewTimer(framework.DefaultTimeout)
	defer timeout.Stop()
	for seen := ""; !strings.Contains(seen, "still-here\r\nstill-here\r\n"); {
		select {
		case text := <-c.heard:
			seen += text
		case err := <-c.ended:
			return err
		case <-timeout.C:
			return fmt.Errorf("no answer, only %q", seen)
		}
	}
	return nil
}

// keep lets time pass. Here it is what is measured, and no event could end it.
func keep(t *testing.T, e *framework.Environment, period time.Duration) {
	t.Helper()
	timer := time.NewTimer(period)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.Context.Done():
		require.NoError(t, e.Context.Err())
	}
}

// weight is what the product takes.
type weight struct {
	resident, heap, stacks int64
	goroutines             int64
}

func weigh(t *testing.T, e *framework.Environment) weight {
	t.Helper()
	state, err := controlplane.ReadState(e.Plane.StateDir())
	require.NoError(t, err)
	at := slices.IndexFunc(state.Components, func(c controlplane.ComponentStatus) bool { return c.Name == controlplane.Product })
	require.GreaterOrEqual(t, at, 0)
	metrics := productMetrics(t, e)
	return weight{
		resident: residentBytes(t, state.Components[at].PID), heap: metrics["go_memstats_heap_inuse_bytes"],
		stacks: metrics["go_memstats_stack_inuse_bytes"], goroutines: metrics["go_goroutines"],
	}
}

// residentBytes reads VmRSS of proc(5).
func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, tail, found := strings.Cut(string(text), "VmRSS:")
	require.True(t, found)
	kib, err := strconv.ParseInt(strings.Fields(tail)[0], 10, 64)
	require.NoError(t, err)
	return kib << 10
}

func productMetrics(t *testing.T, e *framework.Environment) map[string]int64 {
	t.Helper()
	direct := e.ProductConfig(e.Config)
	client, err := rest.HTTPClientFor(direct)
	require.NoError(t, err)
	response, err := client.Get(direct.Host + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	values := map[string]int64{}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, value, found := strings.Cut(lines.Text(), " "); found && !strings.HasPrefix(name, "#") {
			if number, err := strconv.ParseFloat(value, 64); err == nil {
				values[name] = int64(number)
			}
		}
	}
	require.NoError(t, lines.Err())
	return values
}

func report(count int, hold time.Duration, before, open, after weight) {
	fmt.Printf("\n### %d idle consoles for %v\n\n", count, hold)
	fmt.Println("| of the product | before | opened | at the end | for each console |\n|---|---|---|---|---|")
	line := func(name string, unit, before, open, after int64) {
		each := float64(after-before) / float64(unit) / float64(count)
		fmt.Printf("| %s | %d | %d | %d | %.1f |\n", name, before/unit, open/unit, after/unit, each)
	}
	const kib = 1 << 10
	line("resident memory, KiB", kib, before.resident, open.resident, after.resident)
	line("heap, KiB", kib, before.heap, open.heap, after.heap)
	line("stacks, KiB", kib, before.stacks, open.stacks, after.stacks)
	line("goroutines", 1, before.goroutines, open.goroutines, after.goroutines)
	fmt.Println()
}
