package app

import (
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// ofOneMachine are the commands that are about one machine, with the right that each needs beyond that to read the VirtualServer.
func ofOneMachine(t *testing.T) map[string]struct {
	arguments []string
	right     string
} {
	screen := filepath.Join(t.TempDir(), "screen.png")
	return map[string]struct {
		arguments []string
		right     string
	}{
		"start":        {[]string{"start", "my-vs"}, "create virtualservers/start"},
		"stop":         {[]string{"stop", "my-vs"}, "create virtualservers/stop"},
		"restart":      {[]string{"restart", "my-vs"}, "create virtualservers/restart"},
		"pause":        {[]string{"pause", "my-vs"}, "create virtualservers/pause"},
		"unpause":      {[]string{"unpause", "my-vs"}, "create virtualservers/unpause"},
		"console":      {[]string{"console", "my-vs"}, "get virtualservers/console"},
		"vnc":          {[]string{"vnc", "my-vs", "--proxy-only"}, "get virtualservers/vnc"},
		"screenshot":   {[]string{"vnc", "my-vs", "--screenshot", screen}, "get virtualservers/vnc"},
		"port-forward": {[]string{"port-forward", "my-vs", "0:80"}, "get virtualservers/portforward"},
		"ssh":          {[]string{"ssh", "ann@my-vs"}, "get virtualservers/portforward"},
		"scp":          {[]string{"scp", "notes.txt", "ann@my-vs:"}, "get virtualservers/portforward"},
		"resize":       {[]string{"resize", "my-vs", "--cores", "2"}, "patch virtualservers"},
		"status":       {[]string{"status", "my-vs"}, "get virtualservers"},
		"why":          {[]string{"why", "my-vs"}, "get virtualservers"},
		"events":       {[]string{"events", "my-vs"}, "list events"},
		"logs":         {[]string{"logs", "my-vs"}, "list pods"},
	}
}

func TestEveryCommandOfOneMachineIsInTheMatrix(t *testing.T) {
	// They make one, run another program, are about those that are not served, and are about all or none.
	known := []string{"create", "virt", "get", "describe", "edit", "delete", "held", "backup", "restore", "support-bundle", "version", "images"}
	for _, test := range ofOneMachine(t) {
		known = append(known, test.arguments[0])
	}
	for _, command := range NewCommand(discard()).Commands() {
		assert.Contains(t, known, command.Name())
	}
}

// apiWords are what a command line must not speak in: HTTP codes, queries, options and paths of the API.
var apiWords = regexp.MustCompile(`\b[1-5]\d\d [A-Z]|\?|takeOver|wait=|SECONDS|/apis/|unknown$|500|websocket|upgrade`)

func TestAMachineThatIsMissing(t *testing.T) {
	program(t, "ssh", "echo it must not run")
	program(t, "scp", "echo it must not run")
	here, far := newCluster(t, machine()), newCluster(t)
	for name, test := range ofOneMachine(t) {
		for where, in := range map[string]struct {
			flags     []string
			namespace string
		}{
			"namespace": {[]string{"-n", "other"}, "other"}, "context": {[]string{"--context", "far"}, "team"},
			"both": {[]string{"--context", "far", "-n", "other"}, "other"},
		} {
			t.Run(name+" in another "+where, func(t *testing.T) {
				got := here.runs(t, far, append(slices.Clone(in.flags), test.arguments...)...)
				assert.Equal(t, outcome{err: `Error from server (NotFound): virtualservers.tensorstack.dev "my-vs" not found in namespace "` +
					in.namespace + `"`, code: 1}, got)
			})
		}
	}
}

func TestAMachineThatIsForbidden(t *testing.T) {
	program(t, "ssh", "echo it must not run")
	program(t, "scp", "echo it must not run")
	for name, test := range ofOneMachine(t) {
		for _, right := range []string{"get virtualservers", test.right} {
			t.Run(name+" without "+right, func(t *testing.T) {
				here := newCluster(t, machine())
				here.forbidden = []string{right}
				got := here.runs(t, nil, test.arguments...)
				if name := test.arguments[0]; right == "get virtualservers" && slices.Contains([]string{"console", "vnc", "resize"}, name) {
					assert.NotContains(t, got.err, "Forbidden", "the right to the stream or to the change is enough")
					return
				}
				assert.Equal(t, 1, got.code)
				assert.Regexp(t, `^Error from server \(Forbidden\): .*User "ann" cannot (get|create|list|patch) resource ".*" in the namespace "team"$`, got.err)
				assert.Empty(t, got.out)
			})
		}
	}
}

// Who may not watch is told so, and does not wait for nothing.
func TestAWaitThatIsForbidden(t *testing.T) {
	for _, operation := range []string{"start", "stop", "restart", "pause", "unpause"} {
		here := newCluster(t, machine())
		here.forbidden = []string{"list virtualservers"}
		got := here.runs(t, nil, operation, "my-vs", "--wait", "--timeout=1m")
		assert.Equal(t, 1, got.code, operation)
		assert.Regexp(t, `(^|\n)Error from server \(Forbidden\): .* cannot list resource "virtualservers" .*$`, got.err)
	}
}

func TestAMachineThatIsStopped(t *testing.T) {
	program(t, "ssh", "echo it must not run")
	program(t, "scp", "echo it must not run")
	reads := []string{"status", "why", "events", "resize"}
	for name, test := range ofOneMachine(t) {
		t.Run(name, func(t *testing.T) {
			here := newCluster(t, machine(is(v1beta1.StatusStopped, "Run strategy is Halted; use start to run the machine.")))
			got := here.runs(t, nil, test.arguments...)
			if slices.Contains(reads, name) {
				assert.Zero(t, got.code, got.err)
				return
			}
			assert.Equal(t, 1, got.code)
			assert.Regexp(t, `^(Error from server \(Conflict\)|error): virtualserver.*my-vs".*(not running|has no serial log: it is Stopped)`, got.err)
			assert.Empty(t, got.out)
			assert.NotRegexp(t, apiWords, got.err)
		})
	}
}

// Every answer that a server may give, at every command that opens a stream, speaks in words of the command line.
func TestAStreamThatIsRefused(t *testing.T) {
	program(t, "ssh", "echo it must not run")
	program(t, "scp", "echo it must not run")
	for name, refusal := range map[string]struct {
		err  error
		want string
	}{
		"held": {refusedBecause(http.StatusConflict, "bob holds the console since 2026-07-01T12:00:00Z", v1beta1.CauseSessionHeld),
			`Error from server (Conflict): virtualservers.tensorstack.dev "my-vs": bob holds the console since 2026-07-01T12:00:00Z; --take-over ends that session`},
		"unavailable":  {apierrors.NewServiceUnavailable("KubeVirt is not available"), "Error from server (ServiceUnavailable): KubeVirt is not available"},
		"unauthorized": {apierrors.NewUnauthorized("Unauthorized"), "error: You must be logged in to the server (Unauthorized)"},
		"too many":     {apierrors.NewTooManyRequests("too many requests", 1), "Error from server (TooManyRequests): too many requests"},
		"internal":     {apierrors.NewInternalError(assert.AnError), "Error from server (InternalError): Internal error occurred: " + assert.AnError.Error()},
		"starting": {refusedBecause(http.StatusBadRequest, "not up yet (Starting)", v1beta1.CauseMachineStarting),
			`Error from server (BadRequest): virtualservers.tensorstack.dev "my-vs": not up yet (Starting)`},
	} {
		for _, command := range []string{"console", "vnc", "port-forward", "ssh", "scp"} {
			t.Run(name+" "+command, func(t *testing.T) {
				here := newCluster(t, machine())
				here.open = func(string) error { return refusal.err }
				got := here.runs(t, nil, append(ofOneMachine(t)[command].arguments, "--timeout", "0")...)
				assert.Equal(t, outcome{err: refusal.want, code: 1}, got)
			})
		}
	}
}

func TestAServerWithoutVirtualServers(t *testing.T) {
	here := newCluster(t)
	here.Config.Handler = http.NotFoundHandler()
	for _, command := range []string{"status", "start", "why", "logs"} {
		got := here.runs(t, nil, command, "my-vs")
		assert.Equal(t, outcome{code: 1, err: `the server doesn't have a resource type "virtualservers" in group "tensorstack.dev" and version "v1beta1"`}, got, command)
	}
	here.Close()
	got := here.runs(t, nil, "status", "my-vs")
	assert.Regexp(t, `^The connection to the server 127.0.0.1:\d+ was refused - did you specify the right host or port\?$`, got.err)
}

func TestAnInvalidObjectIsToldAsKubectlDoes(t *testing.T) {
	for name, test := range map[string]struct {
		causes []metav1.StatusCause
		want   string
	}{
		"one": {[]metav1.StatusCause{{Field: "spec.cores", Message: "too few"}}, `The VirtualServer "my-vs" is invalid: spec.cores: too few`},
		"two": {[]metav1.StatusCause{{Field: "spec.a", Message: "x\x1b[2J"}, {Field: "spec.b", Message: "y"}},
			"The VirtualServer \"my-vs\" is invalid: \n* spec.a: x [2J\n* spec.b: y"},
		"none": {nil, `The VirtualServer "my-vs" is invalid`},
	} {
		text, code := Failure(&apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonInvalid, Code: 422, Details: &metav1.StatusDetails{Kind: "VirtualServer", Name: "my-vs", Causes: test.causes}}})
		assert.Equal(t, test.want, text, name)
		assert.Equal(t, 1, code)
	}
}

// A hint leads back to the same machine, whatever flags led there.
func TestACommandToTypeNextReachesTheSameMachine(t *testing.T) {
	for want, flags := range map[string][]string{
		"":                                    nil,
		" -n team":                            {"-n", "team"},
		" --context=prod":                     {"--context", "prod"},
		" --context=prod -n team":             {"--namespace=team", "--context=prod"},
		` --context='it'\''s mine'`:           {"--context", "it's mine"},
		" --kubeconfig=/tmp/k --user=ann":     {"--kubeconfig", "/tmp/k", "--user", "ann"},
		" --as=eve --as-group=a --as-group=b": {"--as", "eve", "--as-group", "a", "--as-group", "b"},
		" --server=https://h":                 {"-s", "https://h", "--token", "secret", "--request-timeout", "7s"},
		" --cluster='my cluster'":             {"--cluster", "my cluster"},
	} {
		assert.Equal(t, "kubectl vs why my-vs"+want, aSession(t, flags...).again("why", "my-vs"))
	}
	here := newCluster(t, machine(is(v1beta1.StatusStopped, ""), func(vs *v1beta1.VirtualServer) { vs.Namespace = "other" }))
	got := here.runs(t, nil, "-n", "other", "--context", "here", "why", "my-vs")
	assert.Equal(t, "VirtualServer my-vs: Stopped\n\nHint: kubectl vs start my-vs --context=here -n other\n", got.out)
}

func TestWarningsOfTheServerAreKubectls(t *testing.T) {
	here := newCluster(t, machine())
	inner := here.Config.Handler
	here.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Warning", `299 - "spec.cloudInit: \"passwd\" is no hash"`)
		w.Header().Add("Warning", `299 - "second"`)
		w.Header().Add("Warning", `199 - "of no interest"`)
		inner.ServeHTTP(w, r)
	})
	got := here.runs(t, nil, "start", "my-vs")
	assert.Equal(t, "Warning: spec.cloudInit: \"passwd\" is no hash\nWarning: second\n", got.err, "once, though there were several requests")
	assert.Zero(t, got.code)
}

// What is offered exists: every flag in an example or a message of the program is a flag of that command.
func TestEveryFlagThatIsNamedExists(t *testing.T) {
	root := NewCommand(discard())
	named := map[string]*cobra.Command{}
	for _, command := range root.Commands() {
		named[command.Name()] = command
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		for _, use := range regexp.MustCompile(`kubectl vs (?:-n \S+ )?([a-z-]+)([^\n]*)`).FindAllStringSubmatch(named[name].Example, -1) {
			// A command may have commands of its own, and other names.
			used, _, err := root.Find(strings.Fields(use[1] + use[2]))
			require.NoError(t, err, use[0])
			require.NotSame(t, root, used, use[0])
			if used.DisableFlagParsing {
				continue // Its flags are another program's.
			}
			for _, flag := range regexp.MustCompile(`(?:^| )--([a-z-]+)`).FindAllStringSubmatch(use[2], -1) {
				assert.NotNil(t, used.Flags().Lookup(flag[1]), "%s --%s", used.CommandPath(), flag[1])
			}
		}
	}
	for _, stream := range []string{"console", "vnc"} {
		assert.NotNil(t, named[stream].Flags().Lookup("take-over"))
	}
}
