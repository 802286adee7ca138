// Package guide tries the sentences of the user's guide inside guests that boot on real nodes. docs/guide-coverage.md says
// which test has which sentence.
package guide
