// Package crash tests that no crash of the product and no loss of its store loses an operation, doubles one, or touches a
// machine or a disk.
//
// The tests kill the product and exchange its store, so they share a control plane with nobody. They start one of their
// own, or use the one that the environment variable VIRTUALSERVER_CONTROLPLANE names:
//
//	go test ./test/disruption/crash -v
//	CRASH_KILLS=200 CRASH_SEED=42 go test ./test/disruption/crash -v -timeout 60m -run TestCrash/restart_storm
package crash
