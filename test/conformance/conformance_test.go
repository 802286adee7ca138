package conformance

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"tensorstack.dev/virtualserver/test/framework"
)

// check is one thing that a client does. It returns what the client saw, in words that do not name the resource.
type check struct {
	name string
	run  func(t *testing.T, s *Subject) []string
	// differs explains an outcome of VirtualServer that is not that of a built-in resource; want is that outcome.
	differs string
	want    []string
}

func TestVirtualServerBehavesLikeABuiltInResource(t *testing.T) {
	t.Parallel()
	var checks []check
	checks = append(checks, readChecks()...)
	checks = append(checks, writeChecks()...)
	checks = append(checks, watchChecks()...)
	checks = append(checks, discoveryChecks()...)
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			t.Parallel()
			outcomes := map[string][]string{}
			for _, subject := range subjects() {
				subject.env = framework.New(t)
				subject.client = subject.env.Dynamic.Resource(subject.Resource).Namespace(subject.env.Namespace)
				outcomes[subject.Name] = check.run(t, subject)
			}
			if check.differs != "" {
				t.Logf("differs from a built-in resource: %s", check.differs)
				assert.Equal(t, check.want, outcomes["VirtualServer"])
				assert.NotEqual(t, outcomes["ConfigMap"], outcomes["VirtualServer"], "the difference is gone: remove it from the list")
				return
			}
			assert.Equal(t, outcomes["ConfigMap"], outcomes["VirtualServer"])
		})
	}
}
