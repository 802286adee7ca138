// Package meter draws how far an import is, how fast it goes, and how long it may take.
package meter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// width is that of the bar, in characters.
	width = 24
	// memory is how far back the rate is measured, so that a pause shows, and a first slow minute is forgotten.
	memory = time.Minute
)

// sample is how much was done at a time.
type sample struct {
	at      time.Time
	percent float64
}

// Meter measures one import. The zero value is ready.
type Meter struct{ samples []sample }

// Draw notes the progress, as in status.import.progress ("42.50%"), and draws it. It returns nothing for a progress that is none.
func (m *Meter) Draw(progress string, now time.Time) string {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(progress, "%"), 64)
	if err != nil || math.IsNaN(percent) || percent < 0 || percent > 100 {
		m.samples = nil
		return ""
	}
	if last := len(m.samples) - 1; last >= 0 && m.samples[last].percent > percent {
		m.samples = nil // The importer has begun again.
	}
	m.samples = append(m.samples, sample{now, percent})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) > memory {
		m.samples = m.samples[1:]
	}
	full := int(percent / 100 * width)
	drawn := fmt.Sprintf("[%s%s] %5.1f%%", strings.Repeat("#", full), strings.Repeat("-", width-full), percent)
	if rate := m.rate(); rate > 0 && percent < 100 {
		left := time.Duration((100 - percent) / rate * float64(time.Second))
		drawn += fmt.Sprintf("  %.1f%%/min, about %s left", rate*60, roughly(left))
	}
	return drawn
}

// rate is in percent per second, or zero if it is not known.
func (m *Meter) rate() float64 {
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	if seconds := last.at.Sub(first.at).Seconds(); seconds >= 1 {
		return (last.percent - first.percent) / seconds
	}
	return 0
}

// roughly is a time as a person would say it.
func roughly(left time.Duration) string {
	switch {
	case left < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(left.Round(time.Second).Seconds())))
	case left < time.Hour:
		return fmt.Sprintf("%d min", int(math.Ceil(left.Minutes())))
	default:
		return fmt.Sprintf("%.1f h", left.Hours())
	}
}
