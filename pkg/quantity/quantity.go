// Package quantity explains texts that are no quantities. The parser of Kubernetes answers with a regular expression.
package quantity

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Examples of quantities, for messages.
const example = "such as 8Gi, 512Mi or 1500M"

// written is a number with a unit as people write it: with blanks, a comma, a unit in other letters.
var written = regexp.MustCompile(`^\s*([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)\s*$`)

// unit is one of bytes that stands for a power of 1000 or 1024, in any spelling.
var unit = regexp.MustCompile(`^([kmgtpe])(i?)(?:b|bytes?|bit|bits)?$`)

// longUnits are the names of units in full, without the s at the end.
var longUnits = map[string]string{
	"kilobyte": "k", "megabyte": "m", "gigabyte": "g", "terabyte": "t", "petabyte": "p", "exabyte": "e", "kilo": "k", "mega": "m", "giga": "g",
	"tera": "t", "kibibyte": "ki", "mebibyte": "mi", "gibibyte": "gi", "tebibyte": "ti", "pebibyte": "pi", "gig": "g", "meg": "m",
}

// Problem says what is wrong with a text that resource.ParseQuantity refuses and what was probably meant, or "" if it is a
// quantity. It repeats at most 40 characters of the text.
func Problem(text string) string {
	if _, err := resource.ParseQuantity(text); err == nil {
		return ""
	}
	if strings.TrimSpace(text) == "" {
		return "is empty: write a number with a unit, " + example
	}
	shown := text
	if len(shown) > 40 {
		shown = strings.ToValidUTF8(shown[:40], "") + "..."
	}
	if meant := meaning(text); len(meant) > 0 {
		return fmt.Sprintf("%q is not a quantity: write %s", shown, strings.Join(meant, ", or "))
	}
	return fmt.Sprintf("%q is not a quantity: write a number and a unit without a blank, %s", shown, example)
}

// meaning returns the quantities that a text may have been meant for.
func meaning(text string) []string {
	parts := written.FindStringSubmatch(text)
	if parts == nil {
		return nil
	}
	number, name := strings.Replace(parts[1], ",", ".", 1), strings.ToLower(parts[2])
	if long, found := longUnits[strings.TrimSuffix(name, "s")]; found {
		name = long
	}
	var meant []string
	if name == "" || name == "b" || name == "byte" || name == "bytes" {
		meant = append(meant, number)
	} else if scale := unit.FindStringSubmatch(name); scale != nil {
		letter := strings.ToUpper(scale[1])
		meant = append(meant, fmt.Sprintf("%s%si", number, letter))
		if scale[2] == "" {
			if letter == "K" {
				letter = "k"
			}
			meant = append(meant, fmt.Sprintf("%s%s for powers of 1000", number, letter))
		}
	}
	for _, candidate := range meant {
		value, _, _ := strings.Cut(candidate, " ")
		if _, err := resource.ParseQuantity(value); err != nil {
			return nil
		}
	}
	return meant
}
