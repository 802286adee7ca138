package parity

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"sigs.k8s.io/yaml"
)

// Side is where a value is met.
type Side string

// The sides of a difference. Passing is a value that is there for a moment, so that either node may miss it.
const (
	OnlyReal      Side = "real"
	OnlySimulated Side = "simulated"
	Passing       Side = "passing"
)

// Difference is a value that may be met on one side only.
type Difference struct {
	// Scenario, Aspect and Value are regular expressions for the whole of each; an empty one fits everything.
	Scenario, Aspect, Value string
	// Only says on which side.
	Only Side
	// Reason says why that is so, and why it stays.
	Reason string
}

// ParseDifferences reads a list in YAML, and refuses an entry without a reason.
func ParseDifferences(text []byte) ([]Difference, error) {
	var list []Difference
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		return nil, err
	}
	for i, difference := range list {
		if difference.Reason == "" || !slices.Contains([]Side{OnlyReal, OnlySimulated, Passing}, difference.Only) {
			return nil, fmt.Errorf("difference %d needs a reason, and one of %s, %s and %s in only", i+1, OnlyReal, OnlySimulated, Passing)
		}
		for _, pattern := range []string{difference.Scenario, difference.Aspect, difference.Value} {
			if _, err := regexp.Compile(pattern); err != nil {
				return nil, fmt.Errorf("difference %d: %w", i+1, err)
			}
		}
	}
	return list, nil
}

func fits(pattern, text string) bool {
	return pattern == "" || regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(text)
}

// without is the recording of a side without the values that only that side, or either for a moment, may have. Values that
// then follow themselves count once. unchanged are the aspects that then have one value left, as those have that do not change
// and so are not recorded.
func without(scenario string, recording Recording, side Side, allowed []Difference, used []bool) (left Recording, unchanged map[string]bool) {
	left, unchanged = Recording{}, map[string]bool{}
	for aspect, values := range recording {
		for _, value := range values {
			at := slices.IndexFunc(allowed, func(d Difference) bool {
				return (d.Only == side || d.Only == Passing) && fits(d.Scenario, scenario) && fits(d.Aspect, aspect) && fits(d.Value, value)
			})
			if at >= 0 {
				used[at] = true
				continue
			}
			left.Add(aspect, value)
		}
		unchanged[aspect] = len(values) > 1 && len(left[aspect]) == 1
	}
	return left, unchanged
}

// Compare holds what was recorded on the given side against the golden recording of the real node, and returns a line for each
// difference that is not allowed. used[i] is set for allowed[i] if it was needed.
func Compare(scenario string, golden, got Recording, side Side, allowed []Difference, used []bool) []string {
	want, steady := without(scenario, golden, OnlyReal, allowed, used)
	have, still := without(scenario, got, side, allowed, used)
	aspects := maps.Clone(want)
	maps.Copy(aspects, have)
	var lines []string
	for _, aspect := range slices.Sorted(maps.Keys(aspects)) {
		notRecorded := len(want[aspect])+len(have[aspect]) == 1 && (steady[aspect] || still[aspect])
		if !slices.Equal(want[aspect], have[aspect]) && !notRecorded {
			lines = append(lines, fmt.Sprintf("%s: %s\n  golden: %q\n  here:   %q", scenario, aspect, want[aspect], have[aspect]))
		}
	}
	return lines
}
