package guide

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// needsFailures skips a test that breaks things on purpose, which takes long: make test-failures.
func needsFailures(t *testing.T) {
	t.Helper()
	if os.Getenv("FAILURES") == "" {
		t.Skip("breaks things on purpose, which takes long: make test-failures")
	}
}

// shown is what a user is to read of a failure.
type shown struct {
	status    v1beta1.PrintableStatus
	condition string
	is        metav1.ConditionStatus
	reason    string
	// message is a regular expression for the condition's message.
	message string
	// event is the reason of an event of the VirtualServer; empty for none.
	event string
}

// missing says what a VirtualServer does not show.
func (s shown) missing(vs *v1beta1.VirtualServer) string {
	condition := meta.FindStatusCondition(vs.Status.Conditions, s.condition)
	switch {
	case vs.Status.PrintableStatus != s.status:
		return "not " + string(s.status)
	case condition == nil || condition.Status != s.is || condition.Reason != s.reason:
		return fmt.Sprintf("%s is not %s with %s", s.condition, s.is, s.reason)
	case !regexp.MustCompile(s.message).MatchString(condition.Message):
		return "the message is not like " + s.message
	}
	return ""
}

// times are how long it took until a user could read of each failure.
type times struct {
	mu   sync.Mutex
	rows []string
}

func (l *times) add(what string, took time.Duration, says string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, fmt.Sprintf("| %s | %.0f s | %s |", what, took.Seconds(), says))
}

// table logs the rows when the test ends.
func newTimes(t *testing.T) *times {
	t.Helper()
	l := &times{}
	t.Cleanup(func() {
		t.Logf("\n| failure | shown after | what is shown |\n|---|---|---|\n%s", strings.Join(l.rows, "\n"))
	})
	return l
}

// expect waits until a machine shows the failure, and notes how long that took.
func (l *times) expect(e *framework.Environment, name, what string, began time.Time, want shown) *v1beta1.VirtualServer {
	e.T.Helper()
	vs := e.WaitFor(bootTimeout, name, "shows: "+what, want.missing)
	took := time.Since(began)
	condition := meta.FindStatusCondition(vs.Status.Conditions, want.condition)
	l.add(what, took, fmt.Sprintf("%s, %s=%s %s: %s", vs.Status.PrintableStatus, want.condition, want.is, condition.Reason, condition.Message))
	if want.event != "" {
		e.Within(commandTimeout, "an event "+want.event, func() error {
			list, err := e.Kube.CoreV1().Events(e.Namespace).List(e.Context, metav1.ListOptions{
				FieldSelector: "involvedObject.name=" + name + ",involvedObject.kind=VirtualServer,reason=" + want.event})
			if err == nil && len(list.Items) == 0 {
				return fmt.Errorf("no such event")
			}
			return err
		})
	}
	return vs
}

// importFailures are what servers and images do to an import, and what a user reads of it.
func importFailures() map[string]struct {
	path string
	want shown
	// heals says that the machine runs in the end.
	heals bool
} {
	type failure = struct {
		path  string
		want  shown
		heals bool
	}
	provisioning := func(reason, message string) shown {
		return shown{v1beta1.StatusProvisioning, v1beta1.ConditionDataImported, metav1.ConditionFalse, reason, message, "ImportFailed"}
	}
	return map[string]failure{
		"no such image":         {"status/404/a", provisioning("ImportError", "404.*Check the URL"), false},
		"login needed":          {"status/401/a", provisioning("ImportError", "401.*Check the credentials"), false},
		"server is busy":        {"status/503/a", provisioning("ImportRetrying", "503.*tried again"), false},
		"404 now and then":      {"sometimes/a", provisioning("ImportError", "404"), true},
		"connection is reset":   {"reset/a", provisioning("ImportRetrying", "The connection broke. It is tried again"), false},
		"redirects in a circle": {"circle/a", provisioning("ImportError", "did not say why; its log may: kubectl logs importer-"), false},
		"image is damaged":      {"corrupt/a", provisioning("ImportError", "could not convert image"), false},
		"image is cut short":    {"short/a", provisioning("ImportError", "could not convert image"), false},
		"archive is damaged":    {"gzip/a", provisioning("ImportError", "Check that the source is a disk image"), false},
		"a line of text":        {"text/40/a", provisioning("ImportError", "Check that the source is a disk image"), false},
		"disk is too small":     {"good/small", provisioning("ImportError", "Raise spec.storage.root.pvc.size"), false},
	}
}

func TestImportsThatFail(t *testing.T) {
	needsFailures(t)
	newEnvironment(t)
	log := newTimes(t)
	for what, test := range importFailures() {
		t.Run(what, func(t *testing.T) {
			e := newEnvironment(t)
			server := serveImages(e)
			began := time.Now()
			e.Create(small(e, machine, func(vs *v1beta1.VirtualServer) {
				vs.Spec.Storage.Root.Source.HTTP.URL = server.url + "/" + test.path
				if strings.HasSuffix(test.path, "/small") {
					vs.Spec.Storage.Root.PVC.Size = resource.MustParse("32Mi")
				}
			}))
			vs := log.expect(e, machine, what, began, test.want)
			require.NotNil(t, vs.Status.Import)
			assert.NotEmpty(t, vs.Status.Import.LastError)
			assert.NotEmpty(t, vs.Status.Message)
			if test.heals {
				runs(e, machine, "")
				log.add(what+", and then it runs", time.Since(began), "Running")
			}
		})
	}
}

// Servers that are slow or redirect are no failure.
func TestImportsThatTakeTheirTime(t *testing.T) {
	needsFailures(t)
	newEnvironment(t)
	log := newTimes(t)
	t.Run("slow", func(t *testing.T) {
		e := newEnvironment(t)
		server := serveImages(e)
		began := time.Now()
		e.Create(small(e, machine, func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Root.Source.HTTP.URL = fmt.Sprintf("%s/slow/%d/a", server.url, len(server.image)/20)
		}))
		e.WaitFor(bootTimeout, machine, "shows how far it is", func(vs *v1beta1.VirtualServer) string {
			if vs.Status.PrintableStatus != v1beta1.StatusProvisioning || !strings.Contains(vs.Status.Message, "importing") {
				return "not importing"
			}
			return ""
		})
		log.add("server is slow", time.Since(began), e.Get(machine).Status.Message)
		vs := runs(e, machine, "")
		assert.Nil(t, vs.Status.LastFailure)
	})
	t.Run("redirects", func(t *testing.T) {
		e := newEnvironment(t)
		server := serveImages(e)
		e.Create(small(e, machine, func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Source.HTTP.URL = server.url + "/redirect/a" }))
		vs := runs(e, machine, "")
		assert.Empty(t, vs.Status.Import.LastError)
	})
	t.Run("no image at all", func(t *testing.T) {
		// To the importer whatever it does not know is the raw content of a disk. Nobody but the guest could tell.
		e := newEnvironment(t)
		server := serveImages(e)
		began := time.Now()
		e.Create(small(e, machine, func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Source.HTTP.URL = server.url + "/text/65536/a" }))
		log.expect(e, machine, "a web page in place of an image", began, shown{v1beta1.StatusRunning, v1beta1.ConditionReady, metav1.ConditionTrue,
			"Running", "nobody can see whether its system has started", ""})
	})
}
