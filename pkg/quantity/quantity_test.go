package quantity

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestProblem(t *testing.T) {
	for text, want := range map[string]string{
		"8Gi": "", "1500M": "", "0": "", "1e3": "", "512Mi": "", "-1": "", "100m": "", "1.5Gi": "",
		"16GB":         `"16GB" is not a quantity: write 16Gi, or 16G for powers of 1000`,
		"512mb":        "write 512Mi, or 512M for",
		"4GIB":         "write 4Gi",
		"2 TiB":        "write 2Ti",
		"8gi":          "write 8Gi",
		"64KB":         "write 64Ki, or 64k for",
		"64K":          "write 64Ki, or 64k for",
		"1,5Gi":        "write 1.5Gi",
		"4 gigabytes":  "write 4Gi, or 4G for",
		"10 Gibibytes": "write 10Gi",
		"3g":           "write 3Gi, or 3G for",
		"100 bytes":    "write 100",
		"7Gb":          "write 7Gi, or 7G for",
		"":             "is empty",
		"  ":           "is empty",
		"lots":         "write a number and a unit without a blank, such as",
		"8G8":          "write a number and a unit",
		"8Xi":          "write a number and a unit",
		"eight Gi":     "write a number and a unit",
		"0x10":         "write a number and a unit",
		"8Gi\n":        "write 8Gi",
		"１Gi":          "write a number and a unit",
	} {
		got := Problem(text)
		if want == "" {
			assert.Empty(t, got, text)
			continue
		}
		assert.Contains(t, got, want, text)
	}
	assert.Less(t, len(Problem(strings.Repeat("ä", 4000))), 200)
}

// FuzzProblem shows that it speaks exactly if the parser refuses, and that what it suggests is no mistake itself.
func FuzzProblem(f *testing.F) {
	for _, seed := range []string{"8GiB", "1GB", "", "1,5 tb", "9Ei", "1e", "k", "999999999999999999999EB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := resource.ParseQuantity(text)
		assert.Equal(t, err != nil, Problem(text) != "", "%q", text)
		for _, candidate := range meaning(text) {
			value, _, _ := strings.Cut(candidate, " ")
			_, err := resource.ParseQuantity(value)
			assert.NoError(t, err, "%q from %q", value, text)
		}
	})
}
