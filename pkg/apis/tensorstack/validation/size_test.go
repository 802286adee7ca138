package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestObjectSize(t *testing.T) {
	sized := func(cloudInit, annotation int, character string) *tensorstack.VirtualServer {
		vs := &tensorstack.VirtualServer{}
		vs.Spec.CloudInit = strings.Repeat("x", cloudInit)
		vs.Annotations = map[string]string{"note": strings.Repeat(character, annotation)}
		return vs
	}
	for what, test := range map[string]struct {
		vs, old *tensorstack.VirtualServer
		refused bool
	}{
		"small":                           {vs: sized(1000, 1000, "n")},
		"all that each may have":          {vs: sized(1<<20, 250<<10, "n")},
		"an annotation of JSON":           {vs: sized(1<<20, 250<<10, `"`), refused: true},
		"escapes alone":                   {vs: sized(1000, 250<<10, "<"), refused: true},
		"the spec is too large by itself": {vs: sized(1300<<10, 250<<10, "n")},
		"too large before, and smaller":   {vs: sized(1<<20, 240<<10, `"`), old: sized(1<<20, 250<<10, `"`)},
		"too large before, and the same":  {vs: sized(1<<20, 250<<10, `"`), old: sized(1<<20, 250<<10, `"`)},
		"too large before, and larger":    {vs: sized(1<<20, 250<<10, `"`), old: sized(1<<20, 240<<10, `"`), refused: true},
		"grows beyond":                    {vs: sized(1<<20, 250<<10, `"`), old: sized(1000, 1000, "n"), refused: true},
	} {
		errs := validateObjectSize(test.vs, test.old)
		if test.refused {
			assert.ErrorContains(t, errs.ToAggregate(), "metadata.annotations", what)
		} else {
			assert.Empty(t, errs, what)
		}
	}
}
