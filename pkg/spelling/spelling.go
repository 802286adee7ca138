// Package spelling guesses what a misspelt word was meant to be.
package spelling

import (
	"slices"
	"strings"
)

const (
	// maxLength is how long a word may be to be compared: longer ones are no typing mistakes, and comparing takes long.
	maxLength = 63
	// tooFar is from how many mistakes on words have nothing to do with each other.
	tooFar = 3
)

// Nearest returns the known word that another one is a misspelling of, or "". A third of the letters may be wrong: in short
// words, one is much. Case, dashes and underscores do not count.
func Nearest(word string, known []string) string {
	if len(word) > maxLength {
		return ""
	}
	wanted := normal(word)
	best, distance := "", tooFar
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if len(candidate) > maxLength {
			continue
		}
		against := normal(candidate)
		if bare(against) == bare(wanted) {
			return candidate
		}
		if d := editDistance(wanted, against); d < distance && 3*d <= len(candidate) {
			best, distance = candidate, d
		}
	}
	return best
}

func normal(word string) string {
	return strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(word))
}

func bare(word string) string { return strings.ReplaceAll(word, "_", "") }

// editDistance counts the letters to insert, remove or replace, or neighbours to swap, between two names.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
