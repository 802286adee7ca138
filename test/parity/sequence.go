package parity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Recording has, for each aspect of each object, the values that it had, in their order. The key is the object and the aspect,
// such as "instance 1: phase".
type Recording map[string][]string

// Add appends a value unless it is the last already.
func (r Recording) Add(aspect, value string) {
	if values := r[aspect]; len(values) > 0 && values[len(values)-1] == value {
		return
	}
	r[aspect] = append(r[aspect], value)
}

// String is the text of a golden file: each aspect on a line of its own, its values indented below it.
func (r Recording) String() string {
	var text strings.Builder
	for _, aspect := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&text, "%s\n", aspect)
		for _, value := range r[aspect] {
			fmt.Fprintf(&text, "  %s\n", value)
		}
	}
	return text.String()
}

// Parse reads what String has written.
func Parse(text string) (Recording, error) {
	recording, aspect := Recording{}, ""
	for number, line := range strings.Split(text, "\n") {
		value, indented := strings.CutPrefix(line, "  ")
		switch {
		case indented && aspect == "":
			return nil, fmt.Errorf("line %d: a value without an aspect", number+1)
		case indented:
			recording[aspect] = append(recording[aspect], value)
		case line != "":
			aspect = line
			recording[aspect] = nil
		}
	}
	return recording, nil
}

// Changed drops the aspects that had only the one value with which the recording began.
func (r Recording) Changed(began Recording) Recording {
	changed := Recording{}
	for aspect, values := range r {
		if len(values) > 1 || len(began[aspect]) == 0 {
			changed[aspect] = values
		}
	}
	return changed
}
