package validation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestOperationOptions(t *testing.T) {
	all := []string{"All"}
	requireErrors(t, nil, ValidateStartOptions(&tensorstack.StartOptions{Paused: true, DryRun: all}))
	requireErrors(t, []string{"dryRun supported"}, ValidateStartOptions(&tensorstack.StartOptions{DryRun: []string{"Yes"}}))

	requireErrors(t, nil, ValidateStopOptions(&tensorstack.StopOptions{GracePeriodSeconds: ptr.To[int64](60), DryRun: all}))
	requireErrors(t, nil, ValidateStopOptions(&tensorstack.StopOptions{GracePeriodSeconds: ptr.To[int64](0), Force: true}))
	requireErrors(t, []string{"dryRun supported"}, ValidateStopOptions(&tensorstack.StopOptions{DryRun: []string{"x"}}))
	requireErrors(t, []string{"gracePeriodSeconds from 0"}, ValidateStopOptions(&tensorstack.StopOptions{GracePeriodSeconds: ptr.To[int64](-1)}))
	requireErrors(t, []string{"gracePeriodSeconds from 0"}, ValidateStopOptions(&tensorstack.StopOptions{
		GracePeriodSeconds: ptr.To[int64](MaxGracePeriodSeconds + 1)}))
	requireErrors(t, []string{"gracePeriodSeconds with force"}, ValidateStopOptions(&tensorstack.StopOptions{
		GracePeriodSeconds: ptr.To[int64](5), Force: true}))

	requireErrors(t, nil, ValidateRestartOptions(&tensorstack.RestartOptions{GracePeriodSeconds: ptr.To[int64](0), Force: true, DryRun: all}))
	requireErrors(t, nil, ValidateRestartOptions(&tensorstack.RestartOptions{}))
	requireErrors(t, []string{"dryRun supported"}, ValidateRestartOptions(&tensorstack.RestartOptions{DryRun: []string{"x"}}))
	requireErrors(t, []string{"gracePeriodSeconds must be 0"}, ValidateRestartOptions(&tensorstack.RestartOptions{GracePeriodSeconds: ptr.To[int64](5)}))
}

func TestStreamOptions(t *testing.T) {
	requireErrors(t, nil, ValidateConsoleOptions(&tensorstack.ConsoleOptions{Wait: MaxWaitSeconds, TakeOver: true}))
	requireErrors(t, nil, ValidateConsoleOptions(&tensorstack.ConsoleOptions{PreserveSession: true}))
	requireErrors(t, []string{"preserveSession takeOver"}, ValidateConsoleOptions(&tensorstack.ConsoleOptions{TakeOver: true, PreserveSession: true}))
	requireErrors(t, []string{"wait from 0"}, ValidateConsoleOptions(&tensorstack.ConsoleOptions{Wait: -1}))
	requireErrors(t, []string{"wait from 0"}, ValidateConsoleOptions(&tensorstack.ConsoleOptions{Wait: MaxWaitSeconds + 1}))
	requireErrors(t, []string{"wait from 0"}, ValidateUSBRedirOptions(&tensorstack.USBRedirOptions{Wait: -1}))

	requireErrors(t, nil, ValidateVNCOptions(&tensorstack.VNCOptions{Path: "/screenshot", MoveCursor: true}))
	requireErrors(t, []string{"preserveSession keep one"}, ValidateVNCOptions(&tensorstack.VNCOptions{TakeOver: true, PreserveSession: true}))

	requireErrors(t, nil, ValidatePortForwardOptions(&tensorstack.PortForwardOptions{Path: "22"}))
	requireErrors(t, []string{"wait from 0", "path 1 to 65535"}, ValidatePortForwardOptions(&tensorstack.PortForwardOptions{Wait: -1}))
}

func TestForwardedPort(t *testing.T) {
	tests := map[string]struct {
		port     int32
		protocol string
	}{
		"22": {22, "tcp"}, "/22": {22, "tcp"}, "22/tcp": {22, "tcp"}, "53/udp": {53, "udp"}, "65535/tcp": {65535, "tcp"},
		"": {}, "0": {}, "022": {}, "65536": {}, "-1": {}, "+1": {}, "a": {}, "22/sctp": {}, "22/TCP": {}, "22/tcp/x": {}, "22//": {}, "22/": {}, "//22": {}, "22/tcp/../../x/console": {}, "22\n": {}, "22/tcp?x=y": {}, "123456": {}, "99999": {}, "%32": {}, "１": {},
	}
	for path, want := range tests {
		port, protocol, err := ForwardedPort(path)
		if want.port == 0 {
			assert.Error(t, err, path)
			continue
		}
		assert.NoError(t, err, path)
		assert.Equal(t, want.port, port, path)
		assert.Equal(t, want.protocol, protocol, path)
	}
}
