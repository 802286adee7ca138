package meter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDraw(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := &Meter{}
	for _, step := range []struct {
		seconds  int
		progress string
		want     string
	}{
		{0, "N/A", ""},
		{0, "", ""},
		{0, "0.00%", "[------------------------]   0.0%"},
		{10, "25.00%", "[######------------------]  25.0%  150.0%/min, about 30 s left"},
		{10, "25.00%", "[######------------------]  25.0%  150.0%/min, about 30 s left"},
		{100, "50.00%", "[############------------]  50.0%  16.7%/min, about 3 min left"},
		{200, "100.0%", "[########################] 100.0%"},
		// The importer begins again: what was is no measure.
		{210, "1.00%", "[------------------------]   1.0%"},
		{220, "1.01%", "[------------------------]   1.0%  0.1%/min, about 27.5 h left"},
		{230, "x%", ""},
		{240, "101%", ""},
		{240, "NaN%", ""},
		{240, "-1%", ""},
	} {
		assert.Equal(t, step.want, m.Draw(step.progress, start.Add(time.Duration(step.seconds)*time.Second)), "%d s, %s", step.seconds, step.progress)
	}
}
