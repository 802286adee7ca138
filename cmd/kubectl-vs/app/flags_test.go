package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is wrong with a flag is said with the flag, the value and an example, before a server is asked.
func TestFlagsThatMakeNoSense(t *testing.T) {
	create := func(flags ...string) []string {
		return append([]string{"create", "my-vs", "--dry-run=client"}, flags...)
	}
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{create("--memory", "16GB"), `--memory: "16GB" is not a quantity: write 16Gi, or 16G for powers of 1000`},
		{create("--memory", ""), `--memory: is empty: write a number with a unit, such as 8Gi`},
		{create("--disk", "40 gigs"), `--disk: "40 gigs" is not a quantity: write 40Gi`},
		{create("--disk=1,5TiB"), `--disk: "1,5TiB" is not a quantity: write 1.5Ti`},
		{create("--disk", "big"), `--disk: "big" is not a quantity: write a number and a unit`},
		{create("--tcp", "http,22"), `--tcp: "http,22" is not a list of numbers, such as 22,80`},
		{create("--udp", "53/udp"), `--udp: "53/udp" is not a list of numbers, such as 22,80`},
		{create("--tcp", ""), `--tcp: "" is not a list of numbers`},
		{create("--cores", "two"), `--cores: "two" is not a whole number, such as 2`},
		{create("--cores", "99999999999"), `--cores: 99999999999 is too large`},
		{create("--gpu-count", "1.5"), `--gpu-count: "1.5" is not a whole number`},
		{create("--timeout", "5"), `--timeout: "5" is not a time with a unit, such as 30s or 5m`},
		{create("--wait=maybe"), `--wait: "maybe" is not true or false`},
		{[]string{"stop", "my-vs", "--grace-period", "-7"}, `--grace-period: -7 is no grace period`},
		{[]string{"stop", "my-vs", "--grace-period", "100000"}, `--grace-period: 100000 is no grace period: write a number of seconds from 0 to 86400`},
		{[]string{"stop", "my-vs", "--grace-period", "30s"}, `--grace-period: "30s" is not a whole number, such as 30`},
		{[]string{"console", "my-vs", "--timeout", "soon"}, `--timeout: "soon" is not a time with a unit`},
		{[]string{"create", "my-vs", "--unknown"}, `unknown flag: --unknown`},
	} {
		_, err := run(t, test.arguments...)
		if assert.Error(t, err, test.arguments) {
			assert.Contains(t, err.Error(), test.want)
			assert.NotContains(t, err.Error(), "strconv")
			assert.NotContains(t, err.Error(), "regular expression")
		}
	}
	_, err := run(t, create("--memory", "16Gi", "--tcp", "22,80", "--cores", "2", "-o", "yaml")...)
	require.NoError(t, err)
}
