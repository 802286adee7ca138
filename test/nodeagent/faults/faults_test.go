package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	with := func(change func(*Settings)) Settings {
		settings := Defaults()
		change(&settings)
		return settings
	}
	tests := []struct {
		name     string
		data     map[string]string
		want     Settings
		problems []string
	}{
		{name: "nothing", want: Defaults()},
		{name: "succeed is ok", data: map[string]string{"import": "succeed"}, want: Defaults()},
		{
			name: "failing import",
			data: map[string]string{"import": "fail", "importMessage": "no route to host"},
			want: with(func(s *Settings) { s.Import, s.ImportMessage = Fail, "no route to host" }),
		},
		{
			name: "stalled import",
			data: map[string]string{"import": "stall", "importProgress": "73.5%", "importSeconds": "1.5"},
			want: with(func(s *Settings) { s.Import, s.ImportProgress, s.ImportTime = Stall, 73.5, 1500*time.Millisecond }),
		},
		{
			name: "machine faults, with spaces around",
			data: map[string]string{"boot": " hang\n", "stop": "hang", "scheduling": "refuse", "guestAgent": "absent"},
			want: with(func(s *Settings) { s.Boot, s.Stop, s.Scheduling, s.GuestAgent = Hang, Hang, Refuse, Absent }),
		},
		{
			name: "typos keep the defaults and the rest",
			data: map[string]string{"boot": "perhaps", "bot": "fail", "importProgress": "NaN", "stop": "hang"},
			want: with(func(s *Settings) { s.Stop = Hang }),
			problems: []string{
				`boot: "perhaps" is not one of ok, fail, hang`,
				`bot: unknown setting`,
				`importProgress: "NaN" is not a number from 0 to 100`,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, problems := Parse(test.data)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.problems, problems)
		})
	}
}

func TestGuestCommand(t *testing.T) {
	for _, command := range []Command{"", Crash, OOM, Shutdown, Panic, Reboot} {
		got, err := GuestCommand(map[string]string{GuestAnnotation: string(command)})
		assert.NoError(t, err)
		assert.Equal(t, command, got)
	}
	_, err := GuestCommand(map[string]string{GuestAnnotation: "explode"})
	assert.ErrorContains(t, err, `"explode" is not one of`)
}

func TestNodeLost(t *testing.T) {
	assert.True(t, NodeLost(map[string]string{LostAnnotation: "true"}))
	assert.False(t, NodeLost(map[string]string{LostAnnotation: "false"}))
	assert.False(t, NodeLost(nil))
}
