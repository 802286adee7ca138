package spelling

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearest(t *testing.T) {
	machines := []string{"web", "database", "build-runner", "ubuntu:24.04", "ubuntu:26.04", "debian:13"}
	for word, want := range map[string]string{
		"databse": "database", "dtaabase": "database", "databases": "database", "DATABASE": "database", "build_runner": "build-runner",
		"buildrunner": "build-runner", "bulid-runer": "build-runner", "wed": "web", "wbe": "web", "ubuntu:24.4": "ubuntu:24.04",
		"ubunut:26.04": "ubuntu:26.04", "debian:12": "debian:13",
		"mail": "", "w": "", "": "", "x": "", "data": "", "completely-different": "", strings.Repeat("web", 1000): "",
	} {
		assert.Equal(t, want, Nearest(word, machines), word)
	}
	assert.Empty(t, Nearest("web", nil))
	assert.Equal(t, "web", Nearest("web", machines), "a word that is right is its own")
}
