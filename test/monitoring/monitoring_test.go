// Package monitoring tests artifacts/monitoring with Prometheus' own modules: each alert fires when it should and is silent when it
// should be, and rules and dashboard ask for no metric that does not exist. It is a module of its own, so that the product does not
// depend on Prometheus.
package monitoring

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

const (
	rulesFile     = "../../artifacts/monitoring/rules.yaml"
	dashboardFile = "../../artifacts/monitoring/dashboard.json"
	docs          = "../../docs"
	interval      = time.Minute
)

// up keeps the alert for a server that is down silent.
const up = `up{job="virtualserver-apiserver"} 1x120
`

// alertCase is what makes an alert fire, and what is near to it and does not.
type alertCase struct {
	fires, calm string
	// before is a minute at which it must not fire yet, after one at which it must.
	before, after int
}

func alertCases() map[string]alertCase {
	return map[string]alertCase{
		"VirtualServerDown": {
			fires:  `up{job="virtualserver-apiserver",instance="a"} 1x9 0x60`,
			calm:   `up{job="virtualserver-apiserver",instance="a"} 0x120` + "\n" + `up{job="virtualserver-apiserver",instance="b"} 1x120`,
			before: 9, after: 20,
		},
		"VirtualServerControllersNotRunning": {
			fires:  up + `virtualserver_controller_leading{instance="a"} 1x9 0x60` + "\n" + `virtualserver_controller_leading{instance="b"} 0x120`,
			calm:   up + `virtualserver_controller_leading{instance="a"} 0x60 1x60` + "\n" + `virtualserver_controller_leading{instance="b"} 1x60 0x60`,
			before: 12, after: 20,
		},
		"VirtualServerReconcileFailures": {
			fires:  up + `virtualserver_controller_reconcile_failures_total{reason="Unavailable"} 0+3x120`,
			calm:   up + `virtualserver_controller_reconcile_failures_total{reason="QuotaExceeded"} 0+9x120` + "\n" + `virtualserver_controller_reconcile_failures_total{reason="Failed"} 0+1x120`,
			before: 10, after: 60,
		},
		"VirtualServerOperationsFail": {
			fires: up + `virtualserver_controller_operations_total{type="Start",result="Failed"} 0+1x120` + "\n" +
				`virtualserver_controller_operations_total{type="Start",result="Succeeded"} 0+2x120`,
			calm: up + `virtualserver_controller_operations_total{type="Start",result="Failed"} 0+1x120` + "\n" +
				`virtualserver_controller_operations_total{type="Start",result="Succeeded"} 0+9x120`,
			before: 3, after: 60,
		},
		"VirtualServerOperationsPending": {
			fires:  up + `virtualserver_pending_operations{type="Stop"} 2x120`,
			calm:   up + `virtualserver_pending_operations{type="Stop"} 2x20 0x5 2x20 0x5 2x20 0x5 2x20`,
			before: 20, after: 90,
		},
		"VirtualServerImportsFail": {
			fires:  up + `virtualserver_import_failures_total{source="http"} 0+1x120`,
			calm:   up + `virtualserver_import_failures_total{source="http"} 0 1 2 3x120`,
			before: 10, after: 90,
		},
		"VirtualServerMachinesCrash": {
			fires:  up + `virtualserver_machines{status="CrashLoopBackOff",run_strategy="Always"} 1x120`,
			calm:   up + `virtualserver_machines{status="CrashLoopBackOff",run_strategy="Always"} 1x10 0x110` + "\n" + `virtualserver_machines{status="Running",run_strategy="Always"} 9x120`,
			before: 10, after: 30,
		},
		"VirtualServerMachinesUnknown": {
			fires:  up + `virtualserver_machines{status="Unknown",run_strategy="Always"} 1x120`,
			calm:   up + `virtualserver_machines{status="Unknown",run_strategy="Always"} 0x120`,
			before: 3, after: 30,
		},
		"VirtualServerHeld": {
			fires: up + `virtualserver_held_objects{instance="a"} 0x5 3x120`, calm: up + `virtualserver_held_objects 0x120`,
			before: 8, after: 30,
		},
		"VirtualServerStoreMemberDown": {
			fires: up + `virtualserver_store_member_up{endpoint="https://etcd-0",instance="a"} 0x120` + "\n" + `virtualserver_store_member_up{endpoint="https://etcd-1"} 1x120`,
			// One replica that cannot reach a member is another matter.
			calm:   up + `virtualserver_store_member_up{endpoint="https://etcd-0",instance="a"} 0x120` + "\n" + `virtualserver_store_member_up{endpoint="https://etcd-0",instance="b"} 1x120`,
			before: 3, after: 20,
		},
		"VirtualServerStoreFillsUp": {
			fires: up + `virtualserver_store_size_bytes{endpoint="e"} 90x120` + "\n" + `virtualserver_store_quota_bytes{endpoint="e"} 100x120`,
			calm: up + `virtualserver_store_size_bytes{endpoint="e"} 70x120` + "\n" + `virtualserver_store_quota_bytes{endpoint="e"} 100x120` + "\n" +
				`virtualserver_store_size_bytes{endpoint="old"} 70x120` + "\n" + `virtualserver_store_quota_bytes{endpoint="old"} 0x120`,
			before: 10, after: 30,
		},
		"VirtualServerStoreNoSpace": {
			fires: up + `virtualserver_store_no_space{endpoint="e"} 0x5 1x120`, calm: up + `virtualserver_store_no_space{endpoint="e"} 0x120`,
			before: 4, after: 8,
		},
		"VirtualServerCertificateExpires": {
			// The test begins in 1970: 700000 is 8.1 days later, 600000 6.9 days.
			fires:  up + `virtualserver_certificate_expiry_timestamp_seconds{certificate="serving"} 600000x120`,
			calm:   up + `virtualserver_certificate_expiry_timestamp_seconds{certificate="serving"} 700000x120`,
			before: 10, after: 30,
		},
	}
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

func load(t *testing.T, query rules.QueryFunc, storage *promqltest.LazyLoader) []*rules.Group {
	t.Helper()
	options := &rules.ManagerOptions{
		Context: context.Background(), Parser: newParser(), QueryFunc: query,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	}
	if storage != nil {
		options.AppendableV2 = storage.Storage()
	}
	loaded, errs := rules.NewManager(options).LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var groups []*rules.Group
	for _, group := range loaded {
		groups = append(groups, group)
	}
	// Records come before alerts.
	slices.SortFunc(groups, func(a, b *rules.Group) int { return -strings.Compare(a.Name(), b.Name()) })
	return groups
}

// firing plays series for a while and returns at which minutes each alert fired.
func firing(t *testing.T, series string) map[string][]int {
	t.Helper()
	suite, err := promqltest.NewLazyLoader("load 1m\n  "+strings.ReplaceAll(strings.TrimSpace(series), "\n", "\n  ")+"\n",
		promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true, Parser: newParser()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = suite.Close() }()
	groups := load(t, rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()), suite)
	fired := map[string][]int{}
	for minute := range 100 {
		now := time.Unix(0, 0).Add(time.Duration(minute) * interval).UTC()
		suite.WithSamplesTill(now, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				group.Eval(suite.Context(), now)
				for _, rule := range group.Rules() {
					if rule.LastError() != nil {
						t.Fatalf("%s: %v", rule.Name(), rule.LastError())
					}
					if alert, ok := rule.(*rules.AlertingRule); ok && alert.State() == rules.StateFiring {
						fired[alert.Name()] = append(fired[alert.Name()], minute)
					}
				}
			}
		})
	}
	return fired
}

func TestAlerts(t *testing.T) {
	cases := alertCases()
	for _, group := range load(t, nil, nil) {
		for _, rule := range group.Rules() {
			alert, ok := rule.(*rules.AlertingRule)
			if !ok {
				continue
			}
			test, tested := cases[alert.Name()]
			if !tested {
				t.Errorf("%s has no test", alert.Name())
				continue
			}
			t.Run(alert.Name(), func(t *testing.T) {
				fired := firing(t, test.fires)[alert.Name()]
				if slices.Contains(fired, test.before) || !slices.Contains(fired, test.after) {
					t.Errorf("it must not fire in minute %d and must in minute %d, but fired in %v", test.before, test.after, fired)
				}
				if fired := firing(t, test.calm)[alert.Name()]; len(fired) > 0 {
					t.Errorf("it must not fire, but did in %v", fired)
				}
			})
		}
	}
}

// Each alert says what to do, in a section that exists.
func TestRunbooksExist(t *testing.T) {
	for _, group := range load(t, nil, nil) {
		for _, rule := range group.Rules() {
			alert, ok := rule.(*rules.AlertingRule)
			if !ok {
				continue
			}
			link, err := url.Parse(alert.Annotations().Get("runbook_url"))
			if err != nil || link.Fragment == "" {
				t.Errorf("%s has no runbook: %v", alert.Name(), err)
				continue
			}
			page, err := os.ReadFile(filepath.Join(docs, filepath.Base(link.Path)))
			if err != nil {
				t.Error(err)
				continue
			}
			if !slices.Contains(anchors(string(page)), link.Fragment) {
				t.Errorf("%s: %s has no section #%s", alert.Name(), filepath.Base(link.Path), link.Fragment)
			}
		}
	}
}

// anchors returns the anchors of a page's headings.
func anchors(page string) []string {
	var found []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found = append(found, strings.ReplaceAll(text, " ", "-"))
	}
	return found
}

// Rules and dashboard ask for what exists: the metrics of docs/metrics.md, which a test of the product holds against the code,
// what the rules record, and up. A dashboard that shows nothing looks like a system in which nothing happens.
func TestRulesAndDashboardAskForMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"up": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `(virtualserver_\\w+)` \\| (\\w+)").FindAllStringSubmatch(string(page), -1) {
		known[row[1]] = true
		if row[2] == "histogram" {
			known[row[1]+"_bucket"], known[row[1]+"_sum"], known[row[1]+"_count"] = true, true, true
		}
	}
	expressions := dashboardExpressions(t)
	for _, group := range load(t, nil, nil) {
		for _, rule := range group.Rules() {
			if record, ok := rule.(*rules.RecordingRule); ok {
				known[record.Name()] = true
			}
			expressions = append(expressions, rule.Query().String())
		}
	}
	if len(expressions) < 30 {
		t.Fatalf("only %d expressions were found", len(expressions))
	}
	for _, expression := range expressions {
		parsed, err := newParser().ParseExpr(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok && !known[selector.Name] {
				t.Errorf("%s asks for %s, which does not exist", expression, selector.Name)
			}
			return nil
		})
	}
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}
