// Package faults reads the node agent's fault settings. It is pure: it turns
// annotations and ConfigMap data into typed values and knows nothing of clients.
package faults

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	// GuestAnnotation on a VirtualMachineInstance asks for one Command.
	GuestAnnotation = "node-agent.tensorstack.dev/guest"
	// LostAnnotation with the value "true" on a Node makes the node fall silent.
	LostAnnotation = "node-agent.tensorstack.dev/lost"
	// ManagedLabel with the value "true" on a Node hands the node to the agent.
	ManagedLabel = "node-agent.tensorstack.dev/managed"
	// ConfigMapName is the ConfigMap, in a machine's namespace, that holds the settings.
	ConfigMapName = "node-agent-faults"
	// SchedulingPrefix, followed by a namespace, is the node label that pods of
	// that namespace need while its scheduling is refused.
	SchedulingPrefix = "scheduling.node-agent.tensorstack.dev/"
)

// Command is a one-shot event inside a guest.
type Command string

// The commands that GuestAnnotation understands.
const (
	Crash    Command = "crash"
	OOM      Command = "oom"
	Shutdown Command = "shutdown"
	Panic    Command = "panic"
	Reboot   Command = "reboot"
)

// Mode is the value of one setting.
type Mode string

// The modes of the settings; OK is the default of all.
const (
	OK     Mode = "ok"
	Fail   Mode = "fail"
	Stall  Mode = "stall"
	Hang   Mode = "hang"
	Refuse Mode = "refuse"
	Absent Mode = "absent"
)

// Settings are the faults of one namespace.
type Settings struct {
	// Import is OK, Fail or Stall.
	Import Mode
	// ImportMessage is the importer's error text when Import is Fail.
	ImportMessage string
	// ImportProgress is the percentage, 0 to 100, at which a stalled import stands.
	ImportProgress float64
	// ImportTime is how long an import runs; zero means the agent's own default.
	ImportTime time.Duration
	// Boot is OK, Fail (Failed before Running) or Hang (never Running).
	Boot Mode
	// Stop is OK or Hang (the guest ignores the power button until its deadline).
	Stop Mode
	// Scheduling is OK or Refuse.
	Scheduling Mode
	// GuestAgent is OK or Absent.
	GuestAgent Mode
}

// DefaultImportProgress is where a stalled import stands if nothing else is said.
const DefaultImportProgress = 42.0

// Defaults returns the settings of a namespace without a ConfigMap.
func Defaults() Settings {
	return Settings{
		Import: OK, ImportProgress: DefaultImportProgress,
		Boot: OK, Stop: OK, Scheduling: OK, GuestAgent: OK,
	}
}

// Parse reads a ConfigMap's data. An unreadable value keeps its default and
// adds a sentence to problems, so that one typo does not hide the other faults.
func Parse(data map[string]string) (settings Settings, problems []string) {
	settings = Defaults()
	keys := make([]string, 0, len(data))
	for key := range data {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if err := settings.set(key, strings.TrimSpace(data[key])); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", key, err))
		}
	}
	return settings, problems
}

func (s *Settings) set(key, value string) error {
	switch key {
	case "import":
		if value == "succeed" {
			value = string(OK)
		}
		return choose(&s.Import, value, OK, Fail, Stall)
	case "importMessage":
		s.ImportMessage = value
	case "importProgress":
		return number(&s.ImportProgress, strings.TrimSuffix(value, "%"), 100)
	case "importSeconds":
		seconds := 0.0
		if err := number(&seconds, value, 3600); err != nil {
			return err
		}
		s.ImportTime = time.Duration(seconds * float64(time.Second))
	case "boot":
		return choose(&s.Boot, value, OK, Fail, Hang)
	case "stop":
		return choose(&s.Stop, value, OK, Hang)
	case "scheduling":
		return choose(&s.Scheduling, value, OK, Refuse)
	case "guestAgent":
		return choose(&s.GuestAgent, value, OK, Absent)
	default:
		return fmt.Errorf("unknown setting")
	}
	return nil
}

func choose(target *Mode, value string, allowed ...Mode) error {
	names := make([]string, 0, len(allowed))
	for _, mode := range allowed {
		if Mode(value) == mode {
			*target = mode
			return nil
		}
		names = append(names, string(mode))
	}
	return fmt.Errorf("%q is not one of %s", value, strings.Join(names, ", "))
}

func number(target *float64, value string, highest float64) error {
	parsed, err := strconv.ParseFloat(value, 64)
	// The negated comparison also turns NaN away.
	if err != nil || !(parsed >= 0 && parsed <= highest) {
		return fmt.Errorf("%q is not a number from 0 to %g", value, highest)
	}
	*target = parsed
	return nil
}

// GuestCommand returns the command in an object's annotations. The command is
// empty when there is none; an unknown one is an error.
func GuestCommand(annotations map[string]string) (Command, error) {
	value := annotations[GuestAnnotation]
	switch command := Command(value); command {
	case "", Crash, OOM, Shutdown, Panic, Reboot:
		return command, nil
	}
	return "", fmt.Errorf("annotation %s: %q is not one of crash, oom, shutdown, panic, reboot", GuestAnnotation, value)
}

// NodeLost tells whether a node's annotations silence it.
func NodeLost(annotations map[string]string) bool {
	return annotations[LostAnnotation] == "true"
}
