// Package latency measures how long it takes from a request to what KubeVirt sees, and from what the guest does to what
// "kubectl get" shows. It needs a control plane and is not part of "make test":
//
//	make up
//	go test ./test/benchmark/latency -v -count=1
//
// It prints a Markdown table. LATENCY_SAMPLES is the number of samples of each row, 100 if it is not set.
package latency
