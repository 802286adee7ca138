// Package parity compares what the objects behind a machine go through on the simulated node with what they go through on a real
// one.
//
// A Recorder watches a namespace and keeps, for each aspect of each object, the sequence of the values that it had: the phase
// of the instance, each of its conditions, the state of the launcher's container, the status of the VirtualServer and so on.
// Aspects are kept apart because two writers who do not know of each other set them in any order. What the real node did is
// in golden files; both kinds of node are held against them.
//
// Values are normalized, see Normalizer: names, UIDs, addresses, times, percentages and figures of other kinds are replaced.
// Within one aspect a value that comes twice in a row counts once. A value that is only passed through and may be missed, and
// every true difference between the nodes, stands with its reason in a list of Differences; nothing else may differ.
package parity
